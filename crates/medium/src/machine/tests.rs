//! Tests of the machine: by example, and a random walk against its invariants.

use super::*;

const PLAIN: Timing = Timing::PLAIN_FILE;
const T: Timing = Timing::GADGET;

fn read(in_use: bool) -> Event {
    Event::Read {
        in_use,
        found: Vec::new(),
    }
}

fn plain() -> Machine {
    Machine::new(PLAIN, 0, Bus::Configured)
}

/// A drive whose volume was read, with nobody using it.
fn drive() -> Machine {
    let mut machine = Machine::new(T, 0, Bus::Configured);
    machine.handle(500, read(false));
    machine
}

/// A drive of which the answer `newest` was taken and published at `now_ms`.
fn published(now_ms: u64) -> Machine {
    let mut machine = drive();
    machine.handle(now_ms, Event::Wants(Some(1)));
    assert_eq!(machine.poll(now_ms), Some(Action::Take(How::Asked)));
    machine.handle(now_ms, Event::Taken(How::Asked));
    machine.handle(now_ms, Event::Wants(None));
    machine.handle(now_ms, Event::Returned { changed: true });
    machine
}

/// Lets the time jump from deadline to deadline, as the daemon's loop does.
fn run_until(machine: &Machine, now_ms: &mut u64) -> Option<Action> {
    *now_ms = machine.deadline_ms()?.max(*now_ms);
    machine.poll(*now_ms)
}

mod reading {
    use super::*;

    #[test]
    fn reads_once_the_host_is_quiet_and_then_sleeps() {
        let mut machine = plain();
        assert_eq!(machine.poll(499), None);
        machine.handle(300, Event::Wrote);
        assert_eq!(machine.deadline_ms(), Some(800));
        assert_eq!(machine.poll(800), Some(Action::Read));
        machine.handle(800, read(false));
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_host_that_never_stops_writing_is_never_read() {
        let mut machine = plain();
        for now_ms in (0..600_000).step_by(100) {
            machine.handle(now_ms, Event::Wrote);
            assert_eq!(machine.poll(now_ms), None);
        }
    }
}

mod asking {
    use super::*;

    #[test]
    fn takes_only_when_wanted_and_quiet() {
        let mut machine = plain();
        machine.handle(0, Event::Wants(Some(1)));
        assert_eq!(machine.poll(499), None, "not yet read");
        machine.handle(500, read(false));
        assert_eq!(machine.poll(500), Some(Action::Take(How::Asked)));
        machine.handle(501, Event::Wrote);
        assert_eq!(machine.poll(502), None);
        machine.handle(1_001, read(false));
        assert_eq!(machine.poll(1_001), Some(Action::Take(How::Asked)));
        machine.handle(1_001, Event::Taken(How::Asked));
        machine.handle(1_002, Event::Wrote);
        let idle = (machine.poll(9_999), machine.deadline_ms());
        assert_eq!(idle, (None, None), "ours");
    }

    #[test]
    fn a_busy_medium_is_retried_fast_and_then_slowly() {
        let mut machine = plain();
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(Some(1)));
        let mut now_ms = 500;
        for _ in 0..T.retries {
            let action = run_until(&machine, &mut now_ms);
            assert_eq!(action, Some(Action::Take(How::Asked)));
            machine.handle(now_ms, Event::Refused(Refusal::Busy));
        }
        let fast_ms = now_ms;
        assert!(fast_ms < 500 + 3_000);
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Asked)));
        assert_eq!(now_ms, fast_ms + T.held_retry_ms);
    }

    #[test]
    fn a_volume_in_use_is_left_alone_until_it_is_written() {
        let mut machine = plain();
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(Some(1)));
        machine.handle(500, Event::Refused(Refusal::InUse));
        assert_eq!(machine.deadline_ms(), None, "no polling");
        machine.handle(9_000, Event::Wrote);
        machine.handle(9_500, read(false));
        assert_eq!(machine.poll(9_500), Some(Action::Take(How::Asked)));
    }

    #[test]
    fn a_volume_that_is_not_finished_is_given_back_and_asked_for_when_it_was_written() {
        let mut machine = drive();
        machine.handle(500, Event::Wants(Some(1)));
        machine.handle(500, Event::Refused(Refusal::Inconsistent));
        machine.handle(500, Event::Showing);
        assert_eq!(machine.deadline_ms(), Some(500 + T.damaged_ms));
        machine.handle(4_000, Event::Wrote);
        machine.handle(4_500, read(false));
        let mut now_ms = 4_500;
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Asked)));
        assert!(now_ms <= 4_000 + T.held_retry_ms);
    }

    #[test]
    fn a_failure_is_tried_again_at_leisure() {
        let mut machine = plain();
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(Some(1)));
        machine.handle(500, Event::Refused(Refusal::Failed));
        assert_eq!(machine.deadline_ms(), Some(500 + T.held_retry_ms));
    }

    #[test]
    fn what_fails_for_long_is_tried_less_and_less_often_until_something_is_written() {
        let mut machine = drive();
        machine.handle(500, Event::Wants(Some(1)));
        machine.handle(500, Event::Showing);
        let mut now_ms = 500;
        let mut waits_ms = Vec::new();
        for _ in 0..8 {
            machine.handle(now_ms, Event::Refused(Refusal::Failed));
            let due_ms = machine.deadline_ms().unwrap();
            waits_ms.push(due_ms - now_ms);
            now_ms = due_ms;
        }
        assert_eq!(waits_ms[..3], [2_000, 4_000, 8_000]);
        assert_eq!(waits_ms[6..], [64_000, 64_000]);
        machine.handle(now_ms, Event::Wrote);
        machine.handle(now_ms + 500, read(false));
        machine.handle(now_ms + 500, Event::Refused(Refusal::Failed));
        assert_eq!(machine.deadline_ms(), Some(now_ms + 2_500));
    }

    #[test]
    fn a_plain_image_is_the_hosts_again_at_once() {
        let mut machine = plain();
        machine.handle(500, read(false));
        machine.handle(500, Event::Wants(Some(1)));
        machine.handle(500, Event::Taken(How::Asked));
        machine.handle(600, Event::Wants(None));
        machine.handle(600, Event::Returned { changed: true });
        assert_eq!(machine.deadline_ms(), None);
        machine.handle(700, Event::Wrote);
        assert_eq!(machine.deadline_ms(), Some(1_200));
    }
}

mod coming_back {
    use super::*;

    #[test]
    fn a_drive_stays_empty_long_enough_to_be_noticed() {
        let machine = published(1_000);
        assert!(machine.is_ours());
        assert_eq!(machine.deadline_ms(), Some(1_000 + T.absent_ms));
        assert_eq!(machine.poll(1_000 + T.absent_ms), Some(Action::Insert));
    }

    #[test]
    fn a_host_that_reads_it_has_it_again() {
        let mut machine = published(1_000);
        machine.handle(3_500, Event::Inserted);
        assert!(machine.watches_for_reads());
        machine.handle(4_000, Event::Looked);
        assert!(!machine.watches_for_reads());
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_medium_that_nobody_reads_makes_the_drive_bind_anew_once() {
        let mut machine = published(1_000);
        machine.handle(3_500, Event::Inserted);
        assert_eq!(machine.deadline_ms(), Some(3_500 + T.unseen_ms));
        assert_eq!(machine.poll(9_500), Some(Action::Rebind));
        machine.handle(9_700, Event::Rebound { connected: true });
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn the_device_does_not_read_while_it_watches_for_the_hosts_reads() {
        let mut machine = published(1_000);
        machine.handle(1_100, Event::Wrote);
        machine.handle(3_500, Event::Inserted);
        assert_eq!(machine.poll(3_600), None, "its own write can wait");
        machine.handle(4_000, Event::Looked);
        assert_eq!(machine.poll(4_000), Some(Action::Read));
    }

    #[test]
    fn a_sleeping_host_is_waited_for() {
        let mut machine = published(1_000);
        machine.handle(1_100, Event::Bus(Bus::Suspended));
        assert_eq!(machine.poll(15_000), None);
        machine.handle(15_000, Event::Bus(Bus::Configured));
        assert_eq!(machine.deadline_ms(), Some(15_000 + T.absent_ms));
    }

    #[test]
    fn a_host_that_resets_the_drive_still_has_to_miss_the_medium() {
        let mut machine = published(1_000);
        machine.handle(1_500, Event::Bus(Bus::Enumerating));
        machine.handle(1_700, Event::Bus(Bus::Configured));
        assert_eq!(machine.deadline_ms(), Some(1_700 + T.absent_ms));
        let mut machine = published(1_000);
        machine.handle(1_500, Event::Bus(Bus::Enumerating));
        assert_eq!(
            machine.deadline_ms(),
            Some(1_500 + T.detached_ms),
            "no host, with a controller that does not say so"
        );
    }

    #[test]
    fn a_rebind_that_is_a_bad_idea_leaves_the_medium_out() {
        let mut machine = published(1_000);
        machine.handle(1_100, Event::Bus(Bus::Suspended));
        machine.handle(30_000, Event::Rebound { connected: false });
        machine.handle(31_000, Event::Bus(Bus::Configured));
        assert_eq!(machine.deadline_ms(), Some(31_000 + T.absent_ms));
    }

    #[test]
    fn a_host_that_sleeps_on_finds_another_drive_with_the_medium() {
        let mut machine = published(1_000);
        machine.handle(1_100, Event::Bus(Bus::Suspended));
        let mut now_ms = 1_100;
        assert_eq!(run_until(&machine, &mut now_ms), Some(Action::Rebind));
        assert!(now_ms >= 1_100 + T.asleep_ms);
        machine.handle(now_ms, Event::Rebound { connected: true });
        machine.handle(now_ms, Event::Bus(Bus::Enumerating));
        assert_eq!(machine.deadline_ms(), None, "it is in already");
    }

    #[test]
    fn a_drive_that_was_powered_off_before_anybody_read_it_is_bound_anew_once() {
        let mut machine = published(1_000);
        machine.handle(3_500, Event::Inserted);
        machine.handle(4_000, Event::Bus(Bus::Suspended));
        assert_eq!(machine.deadline_ms(), Some(4_000 + T.asleep_ms));
        assert_eq!(machine.poll(4_000 + T.asleep_ms), Some(Action::Rebind));
        machine.handle(30_000, Event::Rebound { connected: true });
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_sleeping_host_is_not_asked_for_the_medium() {
        let mut machine = drive();
        machine.handle(600, Event::Bus(Bus::Suspended));
        machine.handle(30_000, Event::Wants(Some(1)));
        assert_eq!(machine.poll(39_000), None);
        machine.handle(39_000, Event::Bus(Bus::Configured));
        assert_eq!(machine.poll(39_000), Some(Action::Take(How::Asked)));
    }

    #[test]
    fn a_host_that_sleeps_on_is_disconnected_when_it_holds_nothing() {
        let mut machine = drive();
        machine.handle(600, Event::Bus(Bus::Suspended));
        machine.handle(700, Event::Wants(Some(1)));
        let mut now_ms = 700;
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Asleep)));
        assert_eq!(now_ms, 700 + T.asleep_ms);
        machine.handle(now_ms, Event::Taken(How::Asleep));
        machine.handle(now_ms, Event::Wants(None));
        machine.handle(now_ms, Event::Returned { changed: true });
        assert!(!machine.is_ours());
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_host_that_sleeps_with_the_volume_mounted_keeps_it() {
        let mut machine = drive();
        machine.handle(550, Event::Wrote);
        machine.handle(1_100, read(true));
        machine.handle(1_200, Event::Bus(Bus::Suspended));
        machine.handle(1_300, Event::Wants(Some(1)));
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_failed_insertion_is_tried_again() {
        let mut machine = published(1_000);
        machine.handle(3_500, Event::Failed);
        assert_eq!(machine.deadline_ms(), Some(3_500 + T.held_retry_ms));
        assert_eq!(machine.poll(5_500), Some(Action::Insert));
    }

    #[test]
    fn what_was_taken_for_nothing_is_back_at_once_and_not_watched() {
        let mut machine = drive();
        machine.handle(600, Event::Wants(Some(1)));
        machine.handle(600, Event::Taken(How::Asked));
        machine.handle(600, Event::Wants(None));
        machine.handle(650, Event::Returned { changed: false });
        assert_eq!(machine.poll(650), Some(Action::Insert));
        machine.handle(650, Event::Inserted);
        assert_eq!(machine.deadline_ms(), None);
    }
}

mod ejected_by_the_host {
    use super::*;

    #[test]
    fn what_cannot_be_put_onto_it_is_shown_elsewhere() {
        let mut machine = drive();
        machine.handle(1_000, Event::Ejected);
        machine.handle(1_000, read(true));
        machine.handle(1_050, Event::Wants(Some(1)));
        assert_eq!(machine.poll(1_050), Some(Action::Take(How::Ejected)));
        machine.handle(1_050, Event::Refused(Refusal::Inconsistent));
        let mut now_ms = 1_050;
        assert_eq!(run_until(&machine, &mut now_ms), Some(Action::Show));
        assert_eq!(now_ms, 1_050 + T.show_ms);
        machine.handle(now_ms, Event::Showing);
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Ejected)));
        assert_eq!(now_ms, 1_050 + T.damaged_ms);
    }

    #[test]
    fn it_stays_out_when_there_is_nothing_to_show() {
        let mut machine = drive();
        machine.handle(1_000, Event::Ejected);
        assert_eq!(machine.poll(1_000), Some(Action::Read), "nobody can write");
        machine.handle(1_000, read(false));
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn it_comes_back_with_the_answer() {
        let mut machine = drive();
        machine.handle(1_000, Event::Ejected);
        machine.handle(1_000, read(true));
        machine.handle(30_000, Event::Wants(Some(1)));
        let take = machine.poll(30_000);
        assert_eq!(take, Some(Action::Take(How::Ejected)), "marks do not count");
        machine.handle(30_000, Event::Taken(How::Ejected));
        machine.handle(30_100, Event::Wants(None));
        machine.handle(30_100, Event::Returned { changed: true });
        let back = machine.poll(30_100 + T.retry_ms);
        assert_eq!(back, Some(Action::Insert), "absent for long");
    }

    #[test]
    fn an_answer_that_is_ready_waits_for_the_absence() {
        let mut machine = drive();
        machine.handle(1_000, Event::Wants(Some(1)));
        machine.handle(1_000, Event::Refused(Refusal::Busy));
        machine.handle(1_050, Event::Ejected);
        machine.handle(1_050, read(false));
        assert_eq!(machine.poll(1_050), Some(Action::Take(How::Ejected)));
        machine.handle(1_050, Event::Taken(How::Ejected));
        machine.handle(1_100, Event::Returned { changed: true });
        assert_eq!(machine.deadline_ms(), Some(1_050 + T.absent_ms));
    }

    #[test]
    fn a_host_that_starts_anew_has_ejected_nothing() {
        let mut machine = drive();
        machine.handle(1_000, Event::Ejected);
        machine.handle(1_000, read(false));
        machine.handle(2_000, Event::Bus(Bus::Enumerating));
        machine.handle(3_000, Event::Bus(Bus::Configured));
        let take = machine.poll(3_000);
        assert_eq!(take, Some(Action::Take(How::Ejected)), "to repair it");
        machine.handle(3_000, Event::Taken(How::Ejected));
        machine.handle(3_000, Event::Returned { changed: false });
        assert_eq!(machine.poll(3_000), Some(Action::Insert));
        machine.handle(3_000, Event::Inserted);
        assert_eq!(machine.deadline_ms(), None);
    }

    /// A drive that a host ejected and left; the time at which it is taken.
    fn ejected_and_left() -> (Machine, u64) {
        let mut machine = drive();
        machine.handle(1_000, Event::Ejected);
        machine.handle(1_000, read(false));
        machine.handle(2_000, Event::Bus(Bus::Detached));
        let mut now_ms = 2_000;
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Alone)));
        (machine, now_ms)
    }

    #[test]
    fn an_attempt_without_a_host_that_fails_leaves_it_in_the_drive() {
        let (mut machine, mut now_ms) = ejected_and_left();
        machine.handle(now_ms, Event::Refused(Refusal::Failed));
        assert!(!machine.is_ejected());
        machine.handle(now_ms, Event::Bus(Bus::Configured));
        machine.handle(now_ms, Event::Wants(Some(1)));
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(
            action,
            Some(Action::Take(How::Asked)),
            "the next host is asked"
        );
    }

    #[test]
    fn the_next_host_finds_it_in_the_drive() {
        let (mut machine, now_ms) = ejected_and_left();
        assert_eq!(now_ms, 2_000 + T.detached_ms);
        machine.handle(now_ms, Event::Taken(How::Alone));
        machine.handle(now_ms, Event::Returned { changed: false });
        assert_eq!(machine.deadline_ms(), None);
        assert!(!machine.is_ours());
    }
}

mod without_a_host {
    use super::*;

    #[test]
    fn a_cable_that_was_pulled_makes_the_volume_ours() {
        let mut machine = Machine::new(T, 0, Bus::Configured);
        machine.handle(500, read(true));
        machine.handle(1_000, Event::Bus(Bus::Detached));
        let mut now_ms = 1_000;
        let action = run_until(&machine, &mut now_ms);
        assert_eq!(action, Some(Action::Take(How::Alone)), "to repair it");
        assert_eq!(now_ms, 1_000 + T.detached_ms);
        machine.handle(now_ms, Event::Taken(How::Alone));
        machine.handle(now_ms, Event::Returned { changed: true });
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_clean_volume_without_answers_is_left_alone() {
        let mut machine = drive();
        machine.handle(1_000, Event::Bus(Bus::Detached));
        assert_eq!(machine.deadline_ms(), None);
    }

    #[test]
    fn a_host_that_only_enumerates_again_keeps_it() {
        let mut machine = drive();
        machine.handle(900, Event::Wants(Some(1)));
        machine.handle(900, Event::Refused(Refusal::InUse));
        machine.handle(1_000, Event::Bus(Bus::Detached));
        machine.handle(2_600, Event::Bus(Bus::Configured));
        let shown = machine.deadline_ms();
        assert_eq!(shown, Some(2_600 + T.show_ms));
        assert_eq!(machine.poll(5_600), Some(Action::Show));
    }
}

mod showing {
    use super::*;

    #[test]
    fn an_answer_that_is_kept_back_is_shown_elsewhere_once() {
        let mut machine = Machine::new(T, 0, Bus::Configured);
        machine.handle(500, read(true));
        machine.handle(1_000, Event::Wants(Some(7)));
        assert_eq!(machine.deadline_ms(), Some(1_000 + T.show_ms));
        assert_eq!(machine.poll(4_000), Some(Action::Show));
        machine.handle(4_000, Event::Showing);
        assert_eq!(machine.deadline_ms(), None);
        machine.handle(9_000, Event::Wants(Some(8)));
        assert_eq!(
            machine.poll(9_000),
            Some(Action::Show),
            "the host keeps it still"
        );
    }

    #[test]
    fn what_an_earlier_daemon_has_shown_is_not_shown_again() {
        let mut machine = Machine::new(T, 0, Bus::Configured);
        machine.found_shown(Some(7));
        machine.handle(500, read(true));
        machine.handle(500, Event::Wants(Some(7)));
        assert_eq!(machine.deadline_ms(), None);
        machine.handle(9_000, Event::Wants(Some(8)));
        assert_eq!(machine.poll(9_000), Some(Action::Show));
    }

    #[test]
    fn a_host_that_writes_all_the_time_gets_it_elsewhere_too() {
        let mut machine = drive();
        machine.handle(600, Event::Wants(Some(1)));
        for now_ms in (600..3_600).step_by(100) {
            machine.handle(now_ms, Event::Wrote);
            assert_eq!(machine.poll(now_ms), None);
        }
        assert_eq!(machine.poll(3_600), Some(Action::Show));
    }

    #[test]
    fn the_next_host_is_shown_what_the_last_one_was() {
        let mut machine = Machine::new(T, 0, Bus::Configured);
        machine.handle(500, read(true));
        machine.handle(1_000, Event::Wants(Some(7)));
        machine.handle(4_000, Event::Showing);
        machine.handle(5_000, Event::Bus(Bus::Enumerating));
        machine.handle(6_000, Event::Bus(Bus::Configured));
        assert_eq!(machine.poll(6_000 + T.show_ms), Some(Action::Show));
    }

    #[test]
    fn a_plain_image_has_no_other_drive() {
        let mut machine = plain();
        machine.handle(500, read(true));
        machine.handle(600, Event::Wants(Some(1)));
        assert_eq!(machine.deadline_ms(), None);
    }
}

mod random_walks {
    use proptest::prelude::*;

    use super::*;

    /// What the world does next.
    #[derive(Clone, Copy, Debug)]
    enum World {
        Wait(u64),
        Write,
        Mark(bool),
        Lock(bool),
        Eject,
        Look,
        Answer,
        /// From now on nothing can be put onto the volume, for this reason.
        Fail(Option<Refusal>),
        Bus(Bus),
    }

    fn world() -> impl Strategy<Value = World> {
        let bus = prop_oneof![
            3 => Just(Bus::Configured),
            1 => Just(Bus::Detached),
            1 => Just(Bus::Enumerating),
            1 => Just(Bus::Suspended),
        ];
        let failure = prop_oneof![
            3 => Just(None),
            1 => Just(Some(Refusal::Inconsistent)),
            1 => Just(Some(Refusal::Failed)),
        ];
        prop_oneof![
            6 => (0_u64..5_000).prop_map(World::Wait),
            3 => Just(World::Write),
            1 => any::<bool>().prop_map(World::Mark),
            2 => any::<bool>().prop_map(World::Lock),
            1 => Just(World::Eject),
            2 => Just(World::Look),
            2 => Just(World::Answer),
            1 => failure.prop_map(World::Fail),
            1 => bus.prop_map(World::Bus),
        ]
    }

    /// The drive as it really is, around the machine.
    struct Rig {
        machine: Machine,
        now_ms: u64,
        in_drive: bool,
        out_ms: u64,
        dirty: bool,
        locked: bool,
        /// The last write of a host that has not let go since.
        wrote_ms: Option<u64>,
        bus: Bus,
        waiting: u64,
        failure: Option<Refusal>,
        actions: u32,
    }

    impl Rig {
        fn new() -> Self {
            Self {
                machine: Machine::new(T, 0, Bus::Configured),
                now_ms: 0,
                in_drive: true,
                out_ms: 0,
                dirty: false,
                locked: false,
                wrote_ms: None,
                bus: Bus::Configured,
                waiting: 0,
                failure: None,
                actions: 0,
            }
        }

        fn tell(&mut self, event: Event) {
            self.machine.handle(self.now_ms, event);
        }

        fn happens(&mut self, world: World) {
            let reachable = self.in_drive && self.bus == Bus::Configured;
            match world {
                World::Wait(ms) => return self.pass(ms),
                World::Write if reachable => {
                    self.wrote_ms = Some(self.now_ms);
                    self.tell(Event::Wrote);
                }
                World::Mark(dirty) if reachable => {
                    self.dirty = dirty;
                    self.wrote_ms = Some(self.now_ms);
                    self.tell(Event::Wrote);
                }
                World::Lock(locked) if reachable => self.locked = locked,
                World::Eject if reachable => {
                    (self.in_drive, self.locked) = (false, false);
                    (self.out_ms, self.wrote_ms) = (self.now_ms, None);
                    self.tell(Event::Ejected);
                }
                World::Look if reachable && self.machine.watches_for_reads() => {
                    self.tell(Event::Looked);
                }
                World::Answer => {
                    self.waiting += 1;
                    self.tell(Event::Wants(Some(self.waiting)));
                }
                World::Fail(failure) => self.failure = failure,
                World::Bus(bus) => {
                    self.bus = bus;
                    self.locked &= matches!(bus, Bus::Configured | Bus::Suspended);
                    self.tell(Event::Bus(bus));
                }
                _ => {}
            }
            self.act();
        }

        fn pass(&mut self, ms: u64) {
            let end_ms = self.now_ms + ms;
            while let Some(due_ms) = self.machine.deadline_ms().filter(|at_ms| *at_ms <= end_ms) {
                self.now_ms = due_ms.max(self.now_ms);
                assert!(
                    self.machine.poll(self.now_ms).is_some(),
                    "due, but nothing to do"
                );
                self.act();
            }
            self.now_ms = end_ms;
        }

        /// Carries out what is due, holding each action to the invariants.
        fn act(&mut self) {
            while let Some(action) = self.machine.poll(self.now_ms) {
                self.actions += 1;
                assert!(self.actions < 100_000, "it does not come to rest");
                match action {
                    Action::Read => {
                        let quiet = self.is_quiet();
                        assert!(quiet || !self.in_drive, "read while a host may write");
                        assert!(
                            !self.machine.watches_for_reads(),
                            "its reads look like a host's"
                        );
                        self.tell(read(self.dirty));
                    }
                    Action::Take(how) => self.take(how),
                    Action::Insert => {
                        assert!(!self.in_drive, "inserted twice");
                        let noticed = self.now_ms >= self.out_ms + T.absent_ms;
                        let nobody = self.bus == Bus::Detached;
                        assert!(noticed || nobody, "too early to be noticed");
                        self.in_drive = true;
                        self.tell(Event::Inserted);
                    }
                    Action::Rebind => {
                        let asleep = self.bus == Bus::Suspended;
                        assert!(asleep || self.in_drive && self.bus == Bus::Configured);
                        assert!(!self.dirty);
                        (self.locked, self.in_drive) = (false, true);
                        self.tell(Event::Rebound { connected: true });
                        self.enumerates_if(asleep);
                    }
                    Action::Show => self.tell(Event::Showing),
                }
            }
        }

        fn is_quiet(&self) -> bool {
            self.wrote_ms
                .is_none_or(|ms| self.now_ms >= ms + T.quiet_ms)
        }

        fn take(&mut self, how: How) {
            match how {
                How::Asked => {
                    assert!(self.in_drive && self.bus == Bus::Configured);
                    assert!(!self.dirty, "marked as in use");
                    assert!(self.is_quiet(), "just written");
                    if self.locked {
                        return self.tell(Event::Refused(Refusal::Busy));
                    }
                    if self.failure.is_none() {
                        self.out_ms = self.now_ms;
                    }
                }
                How::Asleep => {
                    assert!(self.in_drive && self.bus == Bus::Suspended);
                    assert!(!self.dirty && self.is_quiet(), "somebody uses it");
                    if self.locked {
                        return self.tell(Event::Refused(Refusal::Busy));
                    }
                }
                How::Ejected => assert!(!self.in_drive, "not ejected"),
                How::Alone => assert!(matches!(self.bus, Bus::Detached | Bus::Enumerating)),
            }
            if let Some(refusal) = self.failure {
                self.tell(Event::Refused(refusal));
                self.in_drive |= how == How::Alone;
                return self.enumerates_if(how == How::Asleep);
            }
            self.tell(Event::Taken(how));
            self.dirty = false;
            self.waiting += 1;
            self.tell(Event::Wants(None));
            self.tell(Event::Returned { changed: true });
            self.in_drive = matches!(how, How::Alone | How::Asleep);
            self.enumerates_if(how == How::Asleep);
        }

        /// A drive that was connected anew is no longer one that sleeps.
        fn enumerates_if(&mut self, connected: bool) {
            if connected {
                self.bus = Bus::Enumerating;
                self.tell(Event::Bus(Bus::Enumerating));
            }
        }
    }

    proptest! {
        #[test]
        fn keep_to_the_invariants(history in prop::collection::vec(world(), 1..200)) {
            let mut rig = Rig::new();
            for event in history {
                rig.happens(event);
            }
        }

        /// However it came, once the host lets go and stays, the answer is on the volume.
        #[test]
        fn end_with_the_answer_published(history in prop::collection::vec(world(), 1..200)) {
            let mut rig = Rig::new();
            let failed = history.iter().any(|event| matches!(event, World::Fail(Some(_))));
            for event in history {
                rig.happens(event);
            }
            rig.happens(World::Fail(None));
            rig.happens(World::Bus(Bus::Configured));
            rig.happens(World::Mark(false));
            rig.happens(World::Lock(false));
            rig.happens(World::Answer);
            let backed_off_ms = if failed { T.damaged_ms << MAX_DOUBLINGS } else { 0 };
            rig.pass(T.damaged_ms + 60_000 + backed_off_ms);
            prop_assert!(rig.machine.wants.is_none(), "still waiting: {:?}", rig.machine);
            prop_assert!(rig.in_drive, "the medium is back");
        }
    }
}
