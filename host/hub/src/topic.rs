//! The address of a channel in the whole cluster: `APP/CHANNEL`.
//!
//! One string, because it is the key of every table and the word that adapters see. Neither part can hold a slash: app
//! ids are checked when the app table is read, channel names when they are parsed.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jackfield_protocol::names::ChannelName;

/// `APP/CHANNEL`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Topic {
    text: Arc<str>,
    app_bytes: usize,
    channel: ChannelName,
}

impl Topic {
    /// The topic of `channel` in the app with id `app`.
    pub fn new(app: &str, channel: &ChannelName) -> Self {
        let mut text = String::with_capacity(app.len() + 1 + channel.as_str().len());
        text.push_str(app);
        text.push('/');
        text.push_str(channel.as_str());
        Self {
            text: text.into(),
            app_bytes: app.len(),
            channel: channel.clone(),
        }
    }

    /// Reads the text of a topic; none if it is not one of a channel.
    pub fn parse(text: &str) -> Option<Self> {
        let (app, channel) = text.split_once('/')?;
        // As long as any app's policy may allow; longer names never came into a channel.
        let channel = ChannelName::parse_within(channel, usize::MAX).ok()?;
        (!app.is_empty()).then(|| Self {
            text: text.into(),
            app_bytes: app.len(),
            channel,
        })
    }

    /// The whole text, shared.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The app's id.
    pub fn app(&self) -> &str {
        &self.text[..self.app_bytes]
    }

    /// The channel's name.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }
}

// The text says it all: two topics are one if their texts are, and tables can be asked by text.
impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl PartialOrd for Topic {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Topic {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_app_and_channel() {
        let channel = ChannelName::parse("private-room").expect("a good name");
        let topic = Topic::new("1001", &channel);
        assert_eq!((topic.as_str(), topic.app()), ("1001/private-room", "1001"));
        assert_eq!(topic.channel(), &channel);
        assert_eq!(Topic::parse("1001/private-room"), Some(topic));
        assert_eq!(
            [Topic::parse("/all"), Topic::parse("1001"), Topic::parse("1/a b")],
            [None, None, None]
        );
    }
}
