//! All rules on: nothing may go wrong.

use super::profile::{NAMES, named};
use super::world::{Tally, World};
use crate::rules::{Rule, Rules};

pub(super) fn run(profile: &str, seed: u64, without: Option<Rule>) -> World {
    let mut world = World::new(named(profile), seed, Rules { without });
    world.run();
    world
}

fn check(profile: &str, seeds: std::ops::Range<u64>) {
    let mut sum = Tally::default();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let world = run(profile, seed, None);
        assert!(
            world.failures.is_empty(),
            "JACKFIELD_SIM={profile}:{seed} fails:\n{}\n{:?}",
            world.failures.join("\n"),
            world.tally
        );
        sum += world.tally;
    }
    println!("{profile}: {count} runs, {sum:?}");
    assert!(sum.astray * SELDOM <= count, "{profile}: members are told wrongly");
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.sockets += other.sockets;
        self.published += other.published;
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.delivered += other.delivered;
        self.closed += other.closed;
        self.closed_for_debt += other.closed_for_debt;
        self.gaps += other.gaps;
        self.repaired += other.repaired;
        self.snapshots += other.snapshots;
        self.announced += other.announced;
        self.removed += other.removed;
        self.told += other.told;
        self.repeated += other.repeated;
        self.crossed += other.crossed;
        self.astray += other.astray;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment which run to repeat"
)]
fn asked(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// So many seeds over all profiles.
fn seeds() -> u64 {
    let all = asked("JACKFIELD_SEEDS")
        .and_then(|text| text.parse().ok())
        .unwrap_or(500_u64);
    all / NAMES.len() as u64
}

macro_rules! profiles {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            check($name, 0..seeds());
        })*
    };
}

profiles! {
    a_quiet_cluster_loses_nothing_and_closes_nobody: "steady",
    late_confirmations_and_late_interest_lose_nothing: "lag",
    lost_and_doubled_frames_are_made_good: "loss",
    a_ring_that_is_too_small_closes_instead_of_losing: "small",
    faults_lose_nothing_in_silence: "faults",
    partitions_lose_nothing_in_silence: "split",
    nodes_come_and_go_without_loss: "join",
    a_name_has_one_node: "twins",
    views_agree_whatever_was_lost: "roster",
    a_swap_loses_nothing_and_refuses_nothing: "swap",
    a_swap_at_different_times_loses_nothing: "skew",
    another_link_to_the_same_broker_takes_the_place_of_the_first: "same",
    a_wrong_bus_stops_a_swap_and_nothing_else: "wrong",
    faults_during_a_swap_lose_nothing_in_silence: "swapfaults",
    topics_that_were_forgotten_go_on: "forget",
    a_partition_of_minutes_loses_nothing_in_silence: "apart",
}

/// `JACKFIELD_SIM=PROFILE:SEED` tells what happens in one run.
#[test]
fn one_run_can_be_repeated() {
    let wanted = asked("JACKFIELD_SIM").unwrap_or_else(|| "steady:0".to_owned());
    let (profile, seed) = wanted.split_once(':').expect("PROFILE:SEED");
    let mut world = World::new(named(profile), seed.parse().expect("a number"), Rules::default());
    world.loud = asked("JACKFIELD_SIM").is_some();
    world.run();
    assert!(world.failures.is_empty(), "{}", world.failures.join("\n"));
    let again = run(profile, seed.parse().expect("a number"), None);
    assert_eq!(
        format!("{:?}", world.tally),
        format!("{:?}", again.tally),
        "a run is always the same"
    );
}

/// A run has several faults in half a minute; in so many runs one may leave an app's server with a wrong idea of one user.
const SELDOM: u64 = 100;
