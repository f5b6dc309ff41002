//! Who a client is: the member of a presence channel, and the signed-in user.
//!
//! Both arrive as JSON in a string that an app's server has signed. The string is verified elsewhere, byte for byte as
//! it came; here it is read and bounded. What others will hear of it (`user_info`) stays the JSON that it was.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::incoming::{Complaint, nests_too_deeply, object};
use crate::names::check_member_id;

/// Most ids of a watchlist that count (Pusher documents, "Watchlist events").
pub const MAX_WATCHLIST: usize = 100;

/// It is relayed inside of three more levels, and readers commonly give up at 128.
const MAX_INFO_NESTING: usize = 64;

/// A member of a presence channel, as `channel_data` or the signin has it.
#[derive(Clone, Debug)]
pub struct Member {
    /// 1 to 128 characters of any kind. A JSON number has become its text.
    pub user_id: String,
    /// Any JSON but `null`, within the limit of the settings.
    pub user_info: Option<Box<RawValue>>,
}

impl Member {
    /// Rule: Pusher protocol, "Presence channels": `user_id` and `user_info` in `channel_data`.
    pub(super) fn parse(channel_data: &str, max_info_bytes: usize) -> Result<Self, Complaint> {
        const EXPECTED: &str = "`channel_data` must be a string that holds a JSON object with a `user_id`, which is a \
                                string or a number, and where needed a `user_info`";
        let data: MemberData<'_> = object(channel_data).map_err(|_| Complaint::new(EXPECTED))?;
        let user_id = data.user_id.and_then(text_of).ok_or_else(|| Complaint::new(EXPECTED))?;
        check_member_id(&user_id).map_err(|error| Complaint::new(format!("`channel_data`: {error}")))?;
        check_info("`channel_data`", data.user_info, max_info_bytes)?;
        Ok(Self {
            user_id: user_id.into_owned(),
            user_info: data.user_info.map(ToOwned::to_owned),
        })
    }

    /// One whom somebody else named.
    pub(super) fn named(user_id: &str, user_info: Option<&str>, max_info_bytes: usize) -> Result<Self, Complaint> {
        check_member_id(user_id).map_err(|error| Complaint::new(format!("the named member: {error}")))?;
        let info: Option<Box<RawValue>> = user_info
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| Complaint::new("the named member: its information is no JSON"))?;
        let info = info.filter(|info| info.get() != "null");
        check_info("the named member", info.as_deref(), max_info_bytes)?;
        Ok(Self {
            user_id: user_id.to_owned(),
            user_info: info,
        })
    }

    /// Rule: Pusher documents, "Presence channels": without `channel_data` the signed-in user is the member.
    pub(super) fn signed_in(user: &User, max_info_bytes: usize) -> Result<Self, Complaint> {
        check_info("the signed-in user", user.info.as_deref(), max_info_bytes)?;
        Ok(Self {
            user_id: user.id.clone(),
            user_info: user.info.clone(),
        })
    }
}

#[derive(Deserialize)]
struct MemberData<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_info: Option<&'a RawValue>,
}

/// A signed-in user, as `user_data` has it.
#[derive(Clone, Debug)]
pub struct User {
    /// 1 to 128 characters of any kind. Only one that is a [`crate::names::UserId`] can be spoken to by its id.
    pub id: String,
    /// Any JSON but `null`, within the limit of the settings.
    pub info: Option<Box<RawValue>>,
    /// Whose coming and going the user wants to hear of: at most [`MAX_WATCHLIST`] ids, in the order given.
    pub watchlist: Vec<String>,
    /// The watchlist was longer than that.
    pub watchlist_cut: bool,
}

impl User {
    /// Rule: Pusher protocol, "User authentication": a string `id`, where needed `user_info` and `watchlist`.
    pub(super) fn parse(user_data: &str, max_info_bytes: usize) -> Result<Self, Complaint> {
        const EXPECTED: &str = "`user_data` must be a string that holds a JSON object with a string `id`, and where \
                                needed a `user_info` and a `watchlist`";
        let data: UserData<'_> = object(user_data).map_err(|_| Complaint::new(EXPECTED))?;
        let id = data.id.and_then(string_of).ok_or_else(|| Complaint::new(EXPECTED))?;
        check_member_id(&id).map_err(|error| Complaint::new(format!("`user_data`: {error}")))?;
        check_info("`user_data`", data.user_info, max_info_bytes)?;
        Ok(Self {
            id: id.into_owned(),
            info: data.user_info.map(ToOwned::to_owned),
            watchlist: Vec::new(),
            watchlist_cut: false,
        })
    }

    /// Adds the watchlist to what [`Self::parse`] read, for apps that use it.
    ///
    /// Rule: Pusher documents, "Watchlist events": of more than a hundred ids the first hundred count.
    pub(super) fn watching(mut self, user_data: &str) -> Result<Self, Complaint> {
        const EXPECTED: &str = "`watchlist` in `user_data` must be a list of user ids, which are strings";
        let data: UserData<'_> = object(user_data).map_err(|_| Complaint::new(EXPECTED))?;
        let Some(watchlist) = data.watchlist else {
            return Ok(self);
        };
        let ids: Vec<Text<'_>> = serde_json::from_str(watchlist.get()).map_err(|_| Complaint::new(EXPECTED))?;
        self.watchlist_cut = ids.len() > MAX_WATCHLIST;
        for Text(id) in ids.into_iter().take(MAX_WATCHLIST) {
            check_member_id(&id).map_err(|error| Complaint::new(format!("`watchlist` in `user_data`: {error}")))?;
            self.watchlist.push(id.into_owned());
        }
        Ok(self)
    }
}

#[derive(Deserialize)]
struct UserData<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_info: Option<&'a RawValue>,
    #[serde(borrow)]
    watchlist: Option<&'a RawValue>,
}

/// A string, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn string_of(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(value.get()).ok().map(|Text(text)| text)
}

/// A string, or a number as it was written.
fn text_of(value: &RawValue) -> Option<Cow<'_, str>> {
    if value
        .get()
        .starts_with(|first: char| first == '-' || first.is_ascii_digit())
    {
        Some(value.get().into())
    } else {
        string_of(value)
    }
}

/// `whose` begins the sentence.
fn check_info(whose: &str, info: Option<&RawValue>, max_bytes: usize) -> Result<(), Complaint> {
    let Some(info) = info else { return Ok(()) };
    let bytes = info.get().len();
    if bytes > max_bytes {
        return Err(Complaint::new(format!(
            "{whose}: `user_info` is {bytes} bytes of JSON; at most {max_bytes} are accepted"
        )));
    }
    if nests_too_deeply(info.get(), MAX_INFO_NESTING) {
        return Err(Complaint::new(format!(
            "{whose}: `user_info` is nested too deeply; {MAX_INFO_NESTING} levels are accepted"
        )));
    }
    Ok(())
}
