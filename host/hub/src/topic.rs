//! The address of a channel in the whole cluster: `APP/CHANNEL`.
//!
//! One string, because it is the key of every table and the word that adapters see. Neither part can hold a slash: app
//! ids are checked when the app table is read, channel names when they are parsed.

use std::sync::Arc;

use jackfield_protocol::names::ChannelName;

/// `APP/CHANNEL`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// The topic of `channel` in the app with id `app`.
    pub fn new(app: &str, channel: &ChannelName) -> Self {
        let mut text = String::with_capacity(app.len() + 1 + channel.as_str().len());
        text.push_str(app);
        text.push('/');
        text.push_str(channel.as_str());
        Self(text.into())
    }

    /// Takes a topic back from an adapter. Only topics that this host made can come back, so the text is not parsed:
    /// an unknown one is simply followed by nobody.
    pub fn from_adapter(text: &str) -> Self {
        Self(text.into())
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The app's id.
    pub fn app(&self) -> &str {
        self.split().0
    }

    /// The channel's name.
    pub fn channel(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').unwrap_or((&self.0, ""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_app_and_channel() {
        let channel = ChannelName::parse("private-room").expect("a good name");
        let topic = Topic::new("1001", &channel);
        assert_eq!(
            (topic.as_str(), topic.app(), topic.channel()),
            ("1001/private-room", "1001", "private-room")
        );
    }
}
