//! The supervisor alone: single turns by hand, and long random lives against an account of what the
//! caller has seen.

use proptest::prelude::*;

use super::*;
use crate::backend::Backend;
use crate::fit::MemoryNeed;
use crate::report::{Finish, PromptStyle, Summary};

fn info() -> ModelInfo {
    ModelInfo {
        name: "m".into(),
        architecture: "llama".into(),
        quantisation: "F32".into(),
        tensor_types: Vec::new(),
        file_bytes: 1,
        parameters: 1,
        vocabulary_tokens: 1,
        context_tokens: 1,
        train_context_tokens: 1,
        needed_bytes: 1,
        need: MemoryNeed::default(),
        backend: Backend::Cpu,
        prompt_style: PromptStyle::Plain,
    }
}

fn summary() -> Summary {
    Summary {
        finish: Finish::EndOfText,
        prompt_tokens: 1,
        response_tokens: 1,
        prefill_ms: 1.0,
        decode_ms: 1.0,
        load_ms: 0.0,
    }
}

fn loaded() -> FromWorker {
    FromWorker::Loaded {
        prompt_style: PromptStyle::Chat,
        context_tokens: 9,
        backend: Backend::Cpu,
        load_ms: 5.0,
    }
}

fn model(name: &str) -> ModelOptions {
    ModelOptions::new(name)
}

/// A supervisor whose child runs request 1.
fn running() -> Supervisor {
    let mut supervisor = Supervisor::default();
    supervisor.begin(&model("a"), Request::new("p")).unwrap();
    assert_eq!(supervisor.step(), Step::Spawn(model("a")));
    supervisor.spawned(model("a"), info());
    assert_eq!(supervisor.step(), Step::Listen);
    assert!(matches!(
        supervisor.on_frame(loaded()),
        Some(Event::Loaded(_))
    ));
    assert!(matches!(supervisor.step(), Step::Send(_)));
    supervisor.sent();
    let started = FromWorker::Started {
        id: 1,
        prompt_tokens: 3,
    };
    assert!(supervisor.on_frame(started).is_some());
    supervisor
}

/// As [`running`], but the child has said nothing of the request yet.
fn sent() -> Supervisor {
    let mut supervisor = Supervisor::default();
    supervisor.begin(&model("a"), Request::new("p")).unwrap();
    supervisor.spawned(model("a"), info());
    supervisor.on_frame(loaded());
    supervisor.sent();
    supervisor
}

#[test]
fn a_child_that_dies_without_a_word_of_the_request_costs_a_second_try_and_no_more() {
    let mut supervisor = sent();
    assert_eq!(supervisor.gone(ChildEnd::Signal(9), false), None);
    assert_eq!(supervisor.step(), Step::Spawn(model("a")));
    supervisor.spawned(model("a"), info());
    supervisor.on_frame(loaded());
    assert!(matches!(supervisor.step(), Step::Send(_)));
    supervisor.sent();
    let how = ChildEnd::Signal(9);
    let failed = supervisor.gone(how, false);
    assert_eq!(failed, Some(Event::Failed(Failure::Crashed { how })));
}

#[test]
fn there_is_no_second_try_without_memory_or_for_a_child_that_is_stuck() {
    let failed = sent().gone(ChildEnd::Signal(9), true);
    assert_eq!(failed, Some(Event::Failed(Failure::OutOfMemory)));
    let mut supervisor = sent();
    supervisor.give_up_on_child();
    let failed = supervisor.gone(ChildEnd::Signal(9), false);
    assert!(matches!(failed, Some(Event::Failed(_))));
}

#[test]
fn load_time_is_reported_with_the_first_request_only() {
    let mut supervisor = running();
    let finished = supervisor.on_frame(FromWorker::Finished {
        id: 1,
        summary: summary(),
    });
    assert_eq!(
        finished,
        Some(Event::Finished(Summary {
            load_ms: 5.0,
            ..summary()
        }))
    );
    supervisor.begin(&model("a"), Request::new("p")).unwrap();
    assert!(matches!(supervisor.step(), Step::Send(_)));
    supervisor.sent();
    let finished = supervisor.on_frame(FromWorker::Finished {
        id: 2,
        summary: summary(),
    });
    assert_eq!(finished, Some(Event::Finished(summary())));
}

#[test]
fn frames_of_a_cancelled_request_are_not_seen() {
    let mut supervisor = running();
    assert!(supervisor.cancel().is_some());
    supervisor.begin(&model("a"), Request::new("q")).unwrap();
    assert_eq!(
        supervisor.step(),
        Step::Listen,
        "the child is still busy with the old one"
    );
    assert_eq!(
        supervisor.on_frame(FromWorker::Text {
            id: 1,
            text: "late".into()
        }),
        None
    );
    assert_eq!(
        supervisor.on_frame(FromWorker::Finished {
            id: 1,
            summary: summary()
        }),
        None
    );
    assert!(matches!(supervisor.step(), Step::Send(_)));
}

#[test]
fn frames_that_name_another_request_are_ignored() {
    let mut supervisor = running();
    assert_eq!(
        supervisor.on_frame(FromWorker::Finished {
            id: 7,
            summary: summary()
        }),
        None
    );
    assert!(supervisor.is_active());
}

#[test]
fn a_new_model_needs_a_new_child_and_no_failure_is_reported() {
    let mut supervisor = running();
    supervisor.on_frame(FromWorker::Finished {
        id: 1,
        summary: summary(),
    });
    supervisor.begin(&model("b"), Request::new("p")).unwrap();
    assert_eq!(supervisor.step(), Step::Kill);
    assert_eq!(supervisor.gone(ChildEnd::Signal(9), false), None);
    assert_eq!(supervisor.step(), Step::Spawn(model("b")));
}

#[test]
fn a_death_in_mid_answer_is_a_failure_of_that_answer() {
    let mut supervisor = running();
    let failed = supervisor.gone(ChildEnd::Signal(6), false);
    let how = ChildEnd::Signal(6);
    assert_eq!(failed, Some(Event::Failed(Failure::Crashed { how })));
    let mut supervisor = running();
    let failed = supervisor.gone(ChildEnd::Signal(6), true);
    assert_eq!(failed, Some(Event::Failed(Failure::OutOfMemory)));
    assert_eq!(supervisor.gone(ChildEnd::Unknown, false), None);
}

/// Found by the random lives: the request waited for ever.
#[test]
fn a_child_that_is_given_up_while_it_computes_ends_the_request() {
    let mut supervisor = running();
    supervisor.give_up_on_child();
    assert_eq!(supervisor.step(), Step::Kill);
    assert!(matches!(
        supervisor.gone(ChildEnd::Signal(9), false),
        Some(Event::Failed(_))
    ));
}

#[test]
fn a_child_that_dies_of_a_cancelled_request_does_not_fail_the_next() {
    let mut supervisor = running();
    supervisor.cancel();
    supervisor.begin(&model("a"), Request::new("q")).unwrap();
    assert_eq!(supervisor.gone(ChildEnd::Signal(11), false), None);
    assert_eq!(supervisor.step(), Step::Spawn(model("a")));
}

/// What may happen to a supervisor, in any order.
#[derive(Debug, Clone)]
enum Happening {
    Begin(bool),
    Cancel,
    /// Do what it asks for; `true`: it works.
    Step(bool),
    Loaded,
    LoadFailed,
    /// Frames name the newest request less this.
    Text(u64),
    Finished(u64),
    Failed(u64),
    Cancelled(u64),
    Gone(bool),
    Deadline,
    Nonsense,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => any::<bool>().prop_map(Happening::Begin),
        1 => Just(Happening::Cancel),
        6 => prop::bool::weighted(0.9).prop_map(Happening::Step),
        3 => Just(Happening::Loaded),
        1 => Just(Happening::LoadFailed),
        3 => (0u64..3).prop_map(Happening::Text),
        3 => (0u64..3).prop_map(Happening::Finished),
        1 => (0u64..3).prop_map(Happening::Failed),
        2 => (0u64..3).prop_map(Happening::Cancelled),
        1 => any::<bool>().prop_map(Happening::Gone),
        1 => Just(Happening::Deadline),
        1 => Just(Happening::Nonsense),
    ]
}

/// A supervisor with an account of what its caller has seen.
#[derive(Default)]
struct Life {
    supervisor: Supervisor,
    last_id: u64,
    /// A request was begun and has neither ended nor been cancelled.
    open: bool,
    has_child: bool,
}

impl Life {
    fn see(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Finished(_) | Event::Failed(_)) => {
                assert!(self.open, "an end of nothing");
                self.open = false;
            }
            Some(_) => assert!(self.open, "an event of nothing"),
            None => {}
        }
    }

    fn live(&mut self, happening: &Happening) {
        let id = |back: u64| self.last_id.saturating_sub(back);
        let frame = match happening {
            Happening::Begin(other) => return self.begin(*other),
            Happening::Cancel => {
                self.supervisor.cancel();
                self.open = false;
                return;
            }
            Happening::Step(works) => return self.step(*works),
            Happening::Gone(out_of_memory) => return self.gone(*out_of_memory),
            Happening::Deadline => return self.supervisor.give_up_on_child(),
            Happening::Nonsense => {
                if self.has_child {
                    let event = self
                        .supervisor
                        .on_violation(&WireError::Length { bytes: 0 });
                    self.see(event);
                }
                return;
            }
            Happening::Loaded => loaded(),
            Happening::LoadFailed => FromWorker::LoadFailed {
                failure: Failure::OutOfMemory,
            },
            Happening::Text(back) => FromWorker::Text {
                id: id(*back),
                text: "t".into(),
            },
            Happening::Finished(back) => FromWorker::Finished {
                id: id(*back),
                summary: summary(),
            },
            Happening::Failed(back) => FromWorker::Failed {
                id: id(*back),
                failure: Failure::OutOfMemory,
            },
            Happening::Cancelled(back) => FromWorker::Cancelled { id: id(*back) },
        };
        if self.has_child {
            let event = self.supervisor.on_frame(frame);
            self.see(event);
        }
    }

    fn begin(&mut self, other: bool) {
        let name = if other { "b" } else { "a" };
        let begun = self
            .supervisor
            .begin(&model(name), Request::new("p"))
            .is_ok();
        assert_eq!(begun, !self.open);
        self.last_id += u64::from(begun);
        self.open = true;
    }

    fn step(&mut self, works: bool) {
        match self.supervisor.step() {
            Step::Listen => {}
            Step::Kill => self.gone(false),
            Step::Spawn(options) => {
                assert!(!self.has_child, "two children");
                if works {
                    self.has_child = true;
                    self.supervisor.spawned(options, info());
                } else {
                    let event = self.supervisor.refused(Failure::OutOfMemory);
                    self.see(event);
                }
            }
            Step::Send(_) if works => self.supervisor.sent(),
            Step::Send(_) => {
                self.has_child = false;
                self.supervisor.found_dead();
            }
        }
    }

    fn gone(&mut self, out_of_memory: bool) {
        self.has_child = false;
        let event = self.supervisor.gone(ChildEnd::Unknown, out_of_memory);
        self.see(event);
    }
}

proptest! {
    /// Whatever happens in whatever order: one end for each request, no event without a request,
    /// never two children, and in the end an honest child gets the last request done.
    #[test]
    fn random_lives(happenings in prop::collection::vec(happening(), 0..200)) {
        let mut life = Life::default();
        for happening in &happenings {
            life.live(happening);
            prop_assert_eq!(life.supervisor.is_active(), life.open);
        }
        if !life.open {
            life.begin(false);
        }
        const ENOUGH: usize = 20;
        for _ in 0..ENOUGH {
            if life.supervisor.is_cancelling() {
                life.supervisor.give_up_on_child();
            }
            life.step(true);
            if life.has_child && life.supervisor.model().is_none() {
                life.live(&Happening::Loaded);
            }
            life.live(&Happening::Finished(0));
        }
        prop_assert!(!life.open, "the last request never ends");
    }
}
