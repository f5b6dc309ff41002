//! What a link follows, and how far the broker has confirmed it. A state machine: no I/O.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use super::wire::Wish;

#[derive(Default)]
pub(super) struct Interest {
    subjects: HashMap<Arc<str>, Followed>,
    /// Subjects whose state is perhaps not what is wanted.
    changed: BTreeSet<Arc<str>>,
    /// Subjects that are with another server: asked for again a little later.
    elsewhere: Vec<Arc<str>>,
    /// Since when an answer is awaited.
    asked_at: Option<Instant>,
}

#[derive(Default)]
struct Followed {
    wanted: bool,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    /// Asked to begin or to end; what is wanted meanwhile is seen to when the answer comes.
    Asked(Wish),
    On,
}

impl Interest {
    /// Begins to follow. Gives back what is followed already.
    pub(super) fn want(&mut self, subjects: Vec<String>) -> Vec<String> {
        let mut already = Vec::new();
        for subject in subjects {
            let name: Arc<str> = subject.as_str().into();
            let followed = self.subjects.entry(name.clone()).or_default();
            followed.wanted = true;
            match followed.state {
                State::On => already.push(subject),
                State::Off => drop(self.changed.insert(name)),
                State::Asked(_) => {}
            }
        }
        already
    }

    /// Ends it.
    pub(super) fn unwant(&mut self, subjects: &[String]) {
        for subject in subjects.iter().map(String::as_str) {
            let Some(followed) = self.subjects.get_mut(subject) else {
                continue;
            };
            followed.wanted = false;
            match followed.state {
                State::On => drop(self.changed.insert(subject.into())),
                State::Off => {
                    self.subjects.remove(subject);
                    self.changed.remove(subject);
                }
                State::Asked(_) => {}
            }
        }
    }

    /// There are new connections, or none: nothing is followed, and all that is wanted is to be asked for.
    pub(super) fn begin(&mut self) {
        let mut subjects = std::mem::take(self).subjects;
        subjects.retain(|_, followed| followed.wanted);
        for followed in subjects.values_mut() {
            followed.state = State::Off;
        }
        self.changed = subjects.keys().cloned().collect();
        self.subjects = subjects;
    }

    /// What to ask now. It has to be [`Self::answered`] before there is more.
    pub(super) fn next(&mut self) -> Option<(Wish, Vec<Arc<str>>)> {
        let (mut asked, mut subjects) = (None, Vec::new());
        while subjects.len() < MOST_AT_A_TIME
            && let Some(subject) = self.changed.pop_first()
        {
            let Some(followed) = self.subjects.get_mut(&subject) else {
                continue;
            };
            let wish = match (followed.state, followed.wanted) {
                (State::Off, true) => Wish::Follow,
                (State::On, false) => Wish::Unfollow,
                _ => continue,
            };
            if *asked.get_or_insert(wish) != wish {
                self.changed.insert(subject);
                break;
            }
            followed.state = State::Asked(wish);
            subjects.push(subject);
        }
        self.asked_at = asked.is_some().then(Instant::now);
        Some((asked?, subjects))
    }

    /// The answer to what was asked is complete.
    pub(super) fn answered(&mut self, subjects: &[Arc<str>]) {
        self.asked_at = None;
        for subject in subjects {
            let Some(followed) = self.subjects.get_mut(subject) else {
                continue;
            };
            match (followed.state, followed.wanted) {
                (State::Asked(_), false) => drop(self.subjects.remove(subject)),
                (State::Asked(wish), true) => {
                    followed.state = State::Off;
                    match wish {
                        Wish::Follow => self.elsewhere.push(subject.clone()),
                        Wish::Unfollow => drop(self.changed.insert(subject.clone())),
                    }
                }
                (State::On | State::Off, _) => {}
            }
        }
    }

    /// A subject is followed now. True if somebody wants to hear of that.
    pub(super) fn entered(&mut self, subject: &str) -> bool {
        let Some(followed) = self.subjects.get_mut(subject) else {
            return false;
        };
        followed.state = State::On;
        if !followed.wanted {
            self.changed.insert(subject.into());
        }
        followed.wanted
    }

    /// A subject is not followed any more. True if nobody asked for that.
    pub(super) fn left(&mut self, subject: &str) -> bool {
        let Some(followed) = self.subjects.get_mut(subject) else {
            return false;
        };
        let unasked = followed.state == State::On && followed.wanted;
        if unasked {
            followed.state = State::Off;
            self.elsewhere.push(subject.into());
        }
        unasked
    }

    /// Asks again for what was with another server.
    pub(super) fn retry(&mut self) {
        self.changed.extend(self.elsewhere.drain(..));
    }

    /// Since when an answer is awaited.
    pub(super) const fn waiting_since(&self) -> Option<Instant> {
        self.asked_at
    }
}

/// Subjects that are asked for at a time: enough for a server to be busy over a round trip, little for its buffers.
pub(super) const MOST_AT_A_TIME: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Connected, and this is followed.
    fn following(subjects: &[&str]) -> Interest {
        let mut interest = Interest::default();
        interest.begin();
        assert!(interest.want(names(subjects)).is_empty());
        let (wish, asked) = interest.next().unwrap();
        assert_eq!((wish, asked.len()), (Wish::Follow, subjects.len()));
        assert!(interest.waiting_since().is_some());
        assert!(subjects.iter().all(|subject| interest.entered(subject)));
        interest.answered(&asked);
        assert_eq!((interest.next(), interest.waiting_since()), (None, None));
        interest
    }

    #[test]
    fn what_is_followed_is_told_again_and_ended_once() {
        let mut interest = following(&["a", "b"]);
        assert_eq!(interest.want(names(&["a"])), ["a"]);
        interest.unwant(&names(&["a", "unknown"]));
        let (wish, asked) = interest.next().unwrap();
        assert_eq!((wish, asked.as_slice()), (Wish::Unfollow, ["a".into()].as_slice()));
        assert!(!interest.left("a"), "it was asked for");
        interest.answered(&asked);
        assert_eq!(interest.next(), None);
        assert_eq!(interest.want(names(&["a", "b"])), ["b"]);
    }

    #[test]
    fn a_change_of_mind_is_seen_to_when_the_answer_has_come() {
        let mut interest = following(&["a"]);
        interest.unwant(&names(&["a"]));
        let (_, asked) = interest.next().unwrap();
        assert!(interest.want(names(&["a"])).is_empty(), "it is about to end");
        assert_eq!(interest.next(), None);
        interest.answered(&asked);
        let (wish, asked) = interest.next().unwrap();
        assert_eq!(wish, Wish::Follow);
        interest.unwant(&names(&["a"]));
        assert!(!interest.entered("a"), "nobody wants to know any more");
        interest.answered(&asked);
        assert_eq!(interest.next().unwrap().0, Wish::Unfollow);
    }

    #[test]
    fn what_another_server_has_is_asked_for_again() {
        let mut interest = following(&["a", "b"]);
        assert!(interest.left("a") && !interest.left("a") && !interest.left("unknown"));
        assert_eq!(interest.next(), None, "not at once");
        interest.retry();
        let (_, asked) = interest.next().unwrap();
        // A refusal.
        interest.answered(&asked);
        assert_eq!(interest.next(), None);
        interest.retry();
        let (_, asked) = interest.next().unwrap();
        interest.answered(&asked);
        assert!(interest.entered("a"), "the confirmation came after all");
        interest.retry();
        assert_eq!(interest.next(), None);
    }

    #[test]
    fn new_connections_begin_with_everything_that_is_still_wanted() {
        let mut interest = following(&["a", "b", "c"]);
        interest.unwant(&names(&["a"]));
        interest.begin();
        interest.unwant(&names(&["b"]));
        assert!(interest.want(names(&["d"])).is_empty());
        interest.begin();
        let (wish, mut asked) = interest.next().unwrap();
        asked.sort();
        assert_eq!((wish, asked), (Wish::Follow, vec!["c".into(), "d".into()]));
    }

    #[test]
    fn much_is_asked_for_in_portions() {
        let mut interest = Interest::default();
        let many: Vec<String> = (0..=MOST_AT_A_TIME).map(|n| n.to_string()).collect();
        interest.want(many);
        interest.begin();
        assert_eq!(interest.next().unwrap().1.len(), MOST_AT_A_TIME);
        assert_eq!(interest.next().unwrap().1.len(), 1);
    }
}
