//! With a rule off, something goes wrong: else the rule, or the simulation, is not worth having.

use super::runs::run;
use super::world::Tally;
use crate::rules::Rule;

/// Some run among these fails without the rule, in the way that the rule prevents.
fn needs(rule: Rule, profiles: &[&str], way: &str) {
    for seed in 0..MANY_SEEDS {
        for profile in profiles {
            let world = run(profile, seed, Some(rule));
            let failure = world.failures.iter().find(|failure| failure.contains(way));
            // That run is good with the rule, so it is the rule that was missed.
            if let Some(failure) = failure.filter(|_| run(profile, seed, None).failures.is_empty()) {
                println!("without {rule:?}, {profile}:{seed}: {failure}");
                return;
            }
        }
    }
    panic!("no run of {profiles:?} fails without {rule:?}");
}

/// Without the rule nothing is lost, but this figure is larger by a quarter at least.
fn saves(rule: Rule, profile: &str, figure: impl Fn(Tally) -> u64) {
    let sum = |without: Option<Rule>| -> u64 { (0..SEEDS).map(|seed| figure(run(profile, seed, without).tally)).sum() };
    let (with, without) = (sum(None), sum(Some(rule)));
    println!("{profile} with {rule:?} {with}, without it {without}");
    assert!(without * 4 > with * 5, "{with} with the rule, {without} without");
}

/// A message was lost in silence.
pub(super) const LOST: &str = "never got";

/// Until the first failure: rare ones take a few hundred.
const MANY_SEEDS: u64 = 1_500;

/// For sums.
const SEEDS: u64 = 300;

#[test]
fn a_baseline_is_a_time() {
    needs(Rule::Base, &["lag", "loss"], LOST);
}

#[test]
fn tails_tell_of_the_last_message() {
    needs(Rule::Tails, &["loss", "lag"], LOST);
}

#[test]
fn whoever_comes_late_is_told_as_well() {
    needs(Rule::Late, &["lag", "loss"], LOST);
}

#[test]
fn a_frame_waits_for_the_one_before() {
    needs(Rule::Hold, &["loss"], LOST);
}

#[test]
fn silence_counts_on_a_proven_link_alone() {
    needs(Rule::ProvenLink, &["split"], "its own link was away");
}

#[test]
fn a_peer_that_left_without_a_last_word_is_a_debt() {
    needs(Rule::Debt, &["split", "faults"], LOST);
}

#[test]
fn who_meets_again_compares_what_was_forgotten() {
    needs(Rule::Meeting, &["apart"], LOST);
}

#[test]
fn transitions_apply_in_their_order() {
    needs(Rule::RosterOrder, &["roster"], LOST);
}

#[test]
fn beats_tell_who_has_missed_transitions() {
    needs(Rule::RosterBeat, &["roster"], " sees ");
}

#[test]
fn webhooks_go_by_the_ledger() {
    needs(Rule::Ledger, &["join", "roster"], "webhooks");
}

#[test]
fn whoever_saw_a_member_tells_if_nobody_else_does() {
    saves(Rule::Told, "join", |tally| tally.astray);
}

#[test]
fn hearing_is_mutual() {
    saves(Rule::Mutual, "wrong", |tally| tally.repaired);
}

#[test]
fn a_publish_is_confirmed_where_peers_hear() {
    needs(Rule::Cover, &["split", "swapfaults"], "nowhere");
}

#[test]
fn a_follow_is_confirmed_on_every_bus() {
    needs(Rule::EveryBus, &["swap", "skew"], "does not follow all");
}
