//! What a limiter keeps when another version takes its place: what the rate-limit door asks of a plugin, and what it promises.

use std::fs;
use std::path::PathBuf;

use super::given::Given;
use super::rate_limit::{SLOW, decided};
use crate::harness::stand::{Layout, Stand, guest};
use crate::reload::another;

/// A limiter whose versions change.
struct Changing {
    stand: Stand,
    name: String,
    path: PathBuf,
    component: Vec<u8>,
    version: u32,
}

impl Changing {
    fn new(layout: Layout, name: &str) -> Self {
        let path = layout.folder().join(format!("{name}.wasm"));
        Self {
            stand: layout.ready(),
            name: name.to_owned(),
            component: fs::read(&path).expect("it was put there"),
            path,
            version: 1,
        }
    }

    /// The limiter that hands over what a key orders.
    fn probe() -> Self {
        let layout = Layout::new().at("rate-limit", "probe-rate-limit", guest("probe-rate-limit"));
        Self::new(layout, "probe-rate-limit")
    }

    /// Another version takes the place of the live one.
    fn change(&mut self) {
        self.version += 1;
        fs::write(&self.path, another(&self.component, self.version)).expect("the folder is ours");
        let outcomes = self.stand.run(self.stand.registry.reload(Some(self.name.clone())));
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        let live = self.stand.report(&self.name).generation;
        assert_eq!(live, u64::from(self.version), "{outcomes:?}");
    }

    /// How many parts were handed to the instance that has this key.
    fn handed(&self, order: &str) -> u32 {
        decided(&self.stand, order, 1, SLOW).remaining
    }

    /// The number of the instance that has this key.
    fn number(&self, order: &str) -> u32 {
        decided(&self.stand, order, 1, SLOW).retry_after_ms
    }
}

/// What is asked of a plugin when its version changes.
// wit/deps/rate-limit/rate-limit.wit: "A component that leaves it out starts with nothing."
pub(super) fn keep(given: &Given) {
    let mut changing = Changing::new(given.layout(), &given.name);
    for round in 0..3 {
        for key in 0..KEYS {
            let decision = decided(&changing.stand, &format!("{round}-{key}"), 5, SLOW);
            assert!(decision.allowed, "{}: a key that is new in round {round}", given.name);
        }
        changing.change();
    }
    // Whether it keeps anything is its own affair; but all keys alike, or some callers would be better off.
    let again = (0..KEYS).map(|key| decided(&changing.stand, &format!("2-{key}"), 1, SLOW).allowed);
    let allowed = again.filter(|allowed| *allowed).count() as u32;
    assert!([0, KEYS].contains(&allowed), "{}: {allowed} of {KEYS}", given.name);
    assert_eq!(changing.stand.report(&given.name).traps, 0, "{} trapped", given.name);
}

#[test]
fn what_the_limiter_of_the_house_has_counted_stays_counted() {
    let layout = super::given::at("rate-limit").remove(0).layout();
    let mut changing = Changing::new(layout, "rate-limit-local");
    assert!(decided(&changing.stand, "spent", 5, SLOW).allowed);
    assert!(decided(&changing.stand, "half", 3, SLOW).allowed);
    changing.change();
    assert!(!decided(&changing.stand, "spent", 1, SLOW).allowed);
    assert_eq!(decided(&changing.stand, "half", 1, SLOW).remaining, 1);
}

// wit/deps/rate-limit/rate-limit.wit: "A part of what an instance of another version kept, in order, between `init` and everything
// else: from now on the keys of that instance reach this one."
// wit/deps/rate-limit/rate-limit.wit: "Called on the version that goes, for which it is the end."
#[test]
fn parts_come_in_order_to_the_instance_that_has_the_keys_from_then_on() {
    let mut changing = Changing::probe();
    let orders: Vec<String> = (0..40).map(|bytes| format!("keep-3-{}", 100 + bytes)).collect();
    let before: Vec<u32> = orders.iter().map(|order| changing.number(order)).collect();
    changing.change();
    let after: Vec<u32> = orders.iter().map(|order| changing.number(order)).collect();
    for (index, order) in orders.iter().enumerate() {
        assert_eq!(changing.handed(order), 3, "{order}");
        assert_ne!(before[index], after[index], "nobody is asked who has handed over");
        for other in 0..orders.len() {
            let (together, still) = (before[index] == before[other], after[index] == after[other]);
            assert_eq!(together, still, "{order} and {}", orders[other]);
        }
    }
    // Out of order, or asked before, it would have trapped.
    assert_eq!(changing.stand.report("probe-rate-limit").traps, 0);
}

// wit/deps/rate-limit/rate-limit.wit: "The next part of what this instance keeps, at most 512 KiB; none after the last one, of which
// there are 64 at most."
#[test]
fn as_much_as_is_allowed_is_handed_over_and_no_more() {
    for (order, handed) in [
        ("keep-0-0", 0),
        ("keep-1-5", 1),
        ("keep-64-524288", 64),
        // Nobody says that some of it would be better than nothing.
        ("keep-65-5", 0),
        ("keep-1-2000000", 0),
    ] {
        let mut changing = Changing::probe();
        assert_eq!(changing.handed(order), 0);
        changing.change();
        assert_eq!(changing.handed(order), handed, "{order}");
    }
}

// wit/deps/rate-limit/rate-limit.wit: "An error lets this instance start with nothing; its text is for the operator."
#[test]
fn a_part_that_is_refused_leaves_nothing() {
    let mut changing = Changing::probe();
    let of_whom = changing.number("unwanted");
    let orders: Vec<String> = (0..40).map(|bytes| format!("keep-2-{}", 100 + bytes)).collect();
    let (refused, others): (Vec<_>, Vec<_>) = orders.iter().partition(|order| changing.number(order) == of_whom);
    assert!(
        !refused.is_empty() && !others.is_empty(),
        "keys are spread over instances"
    );
    changing.change();
    assert!(refused.iter().all(|order| changing.handed(order) == 0));
    assert!(
        others.iter().all(|order| changing.handed(order) == 2),
        "what others keep is not their affair"
    );
    let report = changing.stand.report("probe-rate-limit");
    assert_eq!((report.generation, report.traps), (2, 0), "it is live all the same");
}

/// Keys that were spent before a change: some at each instance.
const KEYS: u32 = 100;
