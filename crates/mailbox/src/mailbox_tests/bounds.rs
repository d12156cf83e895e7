//! What a host can pile up, and that it stays bounded and the work on it near linear.

use crate::ledger::{Answer, Phase, Record, State};
use crate::limits::{GONE_MAX, JOBS_MAX};
use crate::name::OutcomeKind;
use crate::reconcile::{Plan, plan};
use crate::{Digest, Sighting, Stamp};

/// An empty file; all of them have the same content and the same stamp.
fn empty(path: String) -> Sighting {
    Sighting {
        path,
        stamp: Stamp::default(),
        digest: Digest::of(b""),
        named: false,
    }
}

fn prompts(prefix: &str, count: usize) -> Vec<Sighting> {
    (0..count)
        .map(|n| empty(format!("{prefix}{n:05}.txt")))
        .collect()
}

/// Plans, and takes the records in as the ledger would.
fn look(state: &mut State, sightings: &[Sighting], response_exists: bool) -> Plan {
    let plan = plan(state, sightings, &|_| response_exists);
    plan.records.iter().for_each(|record| state.apply(record));
    plan
}

/// Answers and publishes all jobs.
fn publish_all(state: &mut State) {
    let ids: Vec<_> = state.jobs.keys().copied().collect();
    for id in ids {
        let answer = Answer {
            kind: OutcomeKind::Error,
            digest: Digest::of(b"x"),
            len_bytes: 1,
        };
        state.apply(&Record::Answered { id, answer });
        state.apply(&Record::Published {
            id,
            path: format!("{id}.error.txt"),
        });
    }
}

#[test]
fn the_most_prompts_with_one_content_are_followed_through_renames() {
    let mut state = State::default();
    assert_eq!(
        look(&mut state, &prompts("a", JOBS_MAX), true)
            .changes
            .added
            .len(),
        JOBS_MAX
    );
    for prefix in ["b", "c"] {
        let plan = look(&mut state, &prompts(prefix, JOBS_MAX), true);
        assert_eq!(plan.changes, crate::Changes::default());
        assert_eq!(plan.records.len(), JOBS_MAX);
        publish_all(&mut state);
    }
}

#[test]
fn prompts_beyond_the_limit_wait_until_there_is_room() {
    let mut state = State::default();
    let mut all = prompts("a", JOBS_MAX + 2);
    assert_eq!(look(&mut state, &all, true).changes.waiting, 2);
    all.drain(..2);
    let changes = look(&mut state, &all, true).changes;
    // The renames are found first: two that waited take the places of the two that are gone.
    assert_eq!((changes.waiting, state.jobs.len()), (0, JOBS_MAX));
}

#[test]
fn answered_prompts_that_are_gone_are_remembered_up_to_a_limit_the_newest_first() {
    let mut state = State::default();
    let all = prompts("a", GONE_MAX + 5);
    look(&mut state, &all, true);
    publish_all(&mut state);
    look(&mut state, &[], true);
    assert_eq!(state.jobs.len(), GONE_MAX);
    let is_gone = |phase: &Phase| matches!(phase, Phase::Published { gone: true, .. });
    assert!(state.jobs.values().all(|entry| is_gone(&entry.phase)));
    assert_eq!(state.jobs.keys().next().map(|id| id.0), Some(6));
    assert_eq!(look(&mut state, &[], true).records, []);
    look(&mut state, &[], false);
    assert!(state.jobs.is_empty());
}

#[test]
fn a_path_that_is_given_twice_is_one_prompt() {
    let mut state = State::default();
    let twice = [empty("a.txt".into()), empty("a.txt".into())];
    assert_eq!(look(&mut state, &twice, true).changes.added.len(), 1);
}
