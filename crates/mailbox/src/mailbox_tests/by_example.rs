//! The life of prompts on a real folder, one rule a test.

use std::collections::BTreeMap;
use std::path::Path;

use crate::SettingsFile::{Absent, Content, Damaged, TooLarge};
use crate::name::fold;
use crate::{Changes, Digest, JobId, Mailbox, MailboxError, Outcome, Sighting, Stamp};

const SERIAL: u32 = 0x1234_5678;

/// A volume and the mailbox beside it.
struct Stick {
    state: tempfile::TempDir,
    mailbox: Mailbox,
    prompts: BTreeMap<String, (Vec<u8>, Stamp)>,
    answers: BTreeMap<String, Vec<u8>>,
    clock: u16,
}

fn open(path: &Path) -> Mailbox {
    Mailbox::open(path, SERIAL).unwrap()
}

fn response(text: &str) -> Outcome {
    Outcome::Response {
        bytes: text.as_bytes().to_vec(),
    }
}

impl Stick {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mailbox = open(state.path());
        Self {
            state,
            mailbox,
            prompts: BTreeMap::new(),
            answers: BTreeMap::new(),
            clock: 0,
        }
    }

    fn stamp(&mut self, content: &str) -> Stamp {
        self.clock += 1;
        Stamp {
            first_cluster: u32::from(self.clock),
            len_bytes: u32::try_from(content.len()).unwrap(),
            modified: (1, self.clock),
            created: (1, self.clock),
        }
    }

    fn save(&mut self, path: &str, content: &str) {
        let stamp = self.stamp(content);
        self.prompts.insert(path.into(), (content.into(), stamp));
    }

    fn rename(&mut self, from: &str, to: &str) {
        let file = self.prompts.remove(from).unwrap();
        self.prompts.insert(to.into(), file);
    }

    fn look(&mut self) -> Changes {
        let sightings: Vec<_> = self
            .prompts
            .iter()
            .map(|(path, (content, stamp))| Sighting {
                path: path.clone(),
                stamp: *stamp,
                digest: Digest::of(content),
                named: path.starts_with("ask/") && content.is_empty(),
            })
            .collect();
        let content = |path: &str| {
            let mut files = self.answers.iter();
            let (_, bytes) = files.find(|(name, _)| fold(name) == fold(path))?;
            Some(Digest::of(bytes))
        };
        self.mailbox.resolve_intents(&content).unwrap();
        self.mailbox.reconcile(&sightings, &self.exists()).unwrap()
    }

    fn exists(&self) -> impl Fn(&str) -> bool + use<> {
        let names: Vec<_> = self.answers.keys().map(|path| fold(path)).collect();
        move |path| names.contains(&fold(path))
    }

    /// Answers all that is queued and publishes all that is ready; the paths that appeared.
    fn work(&mut self) -> Vec<String> {
        while let Some(job) = self.mailbox.next() {
            self.mailbox.answered(job.id, &response(&job.path)).unwrap();
        }
        let ids: Vec<_> = self.mailbox.ready().iter().map(|ready| ready.id).collect();
        let names = self.mailbox.names_for(&ids, &self.exists());
        self.mailbox.publishing(&names).unwrap();
        for (id, name) in &names {
            let bytes = self.mailbox.outcome_bytes(*id).unwrap().unwrap();
            assert!(
                self.answers.insert(name.clone(), bytes).is_none(),
                "{name} was overwritten"
            );
        }
        self.mailbox.published(&names).unwrap();
        names.into_iter().map(|(_, name)| name).collect()
    }

    fn look_and_work(&mut self) -> Vec<String> {
        self.look();
        self.work()
    }

    fn restart(self) -> Self {
        let Self {
            state,
            mailbox,
            prompts,
            answers,
            clock,
        } = self;
        drop(mailbox);
        let mailbox = open(state.path());
        Self {
            state,
            mailbox,
            prompts,
            answers,
            clock,
        }
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_prompt_is_answered_once_and_a_restart_changes_nothing() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response.txt"]);
    assert_eq!(stick.look_and_work(), NOTHING);
    let mut stick = stick.restart();
    assert_eq!(stick.look_and_work(), NOTHING);
    assert!(stick.mailbox.used("A.RESPONSE.txt"));
    assert!(!stick.mailbox.used("a.response-2.txt"));
}

#[test]
fn a_restart_between_any_two_steps_goes_on() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    let mut stick = stick.restart();
    let job = stick.mailbox.next().unwrap();
    stick.mailbox.answered(job.id, &response("x")).unwrap();
    let mut stick = stick.restart();
    assert_eq!(stick.mailbox.next(), None);
    assert_eq!(stick.look(), Changes::default());
    assert_eq!(stick.work(), ["a.response.txt"]);
}

#[test]
fn jobs_come_in_the_order_in_which_their_prompts_were_saved() {
    let mut stick = Stick::new();
    stick.save("z.txt", "1");
    stick.save("a.txt", "2");
    stick.look();
    stick.save("0.txt", "3");
    stick.look();
    let mut order = Vec::new();
    while let Some(job) = stick.mailbox.next() {
        stick.mailbox.answered(job.id, &response("")).unwrap();
        order.push(job.path);
    }
    assert_eq!(order, ["z.txt", "a.txt", "0.txt"]);
}

#[test]
fn a_changed_prompt_is_a_new_one_and_its_old_job_is_dropped() {
    let mut stick = Stick::new();
    stick.save("a.txt", "one");
    let first = stick.look().added;
    stick.save("a.txt", "two");
    let changes = stick.look();
    assert_eq!(changes.dropped, first);
    assert_eq!(changes.added, [JobId(2)]);
    // The answer to what it was comes too late.
    stick.mailbox.answered(JobId(1), &response("late")).unwrap();
    assert_eq!(stick.work(), ["a.response.txt"]);
    stick.save("a.txt", "three");
    assert_eq!(stick.look_and_work(), ["a.response-2.txt"]);
    // Changed back is changed: it is asked again.
    stick.save("a.txt", "two");
    assert_eq!(stick.look_and_work(), ["a.response-3.txt"]);
}

#[test]
fn an_answer_to_what_the_prompt_was_is_never_published() {
    let mut stick = Stick::new();
    stick.save("a.txt", "one");
    let id = stick.look().added[0];
    stick.mailbox.answered(id, &response("old")).unwrap();
    stick.save("a.txt", "two");
    assert_eq!(stick.look().dropped, [id]);
    assert_eq!(stick.mailbox.outcome_bytes(id).unwrap(), None);
    assert_eq!(stick.work(), ["a.response.txt"]);
    assert_eq!(stick.answers["a.response.txt"], b"a.txt");
}

#[test]
fn a_renamed_prompt_keeps_its_job_in_every_state() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.rename("a.txt", "prompts/b.md");
    assert_eq!(stick.look(), Changes::default());
    assert_eq!(stick.mailbox.next().unwrap().path, "prompts/b.md");
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    stick.rename("prompts/b.md", "B.txt");
    assert_eq!(stick.look(), Changes::default());
    assert_eq!(stick.work(), ["B.response.txt"]);
    stick.rename("B.txt", "b.TXT");
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.rename("b.TXT", "c.txt");
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.save("c.txt", "Why not?");
    assert_eq!(stick.look_and_work(), ["c.response.txt"]);
}

#[test]
fn swapped_prompts_keep_their_answers() {
    let mut stick = Stick::new();
    stick.save("a.txt", "one");
    stick.save("b.txt", "two");
    stick.look();
    stick.rename("a.txt", "t.txt");
    stick.rename("b.txt", "a.txt");
    stick.rename("t.txt", "b.txt");
    assert_eq!(stick.look(), Changes::default());
    assert_eq!(stick.mailbox.job(JobId(1)).unwrap().path, "b.txt");
    assert_eq!(stick.work().len(), 2);
    stick.rename("a.txt", "t.txt");
    stick.rename("b.txt", "a.txt");
    stick.rename("t.txt", "b.txt");
    assert_eq!(stick.look_and_work(), NOTHING);
}

#[test]
fn a_prompt_that_cannot_be_read_just_now_is_given_as_it_was() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.mailbox.remembered("a.txt"), None);
    stick.look_and_work();
    let as_it_was = stick.mailbox.remembered("a.txt").unwrap();
    assert_eq!(as_it_was.digest, Digest::of(b"Why?"));
    let changes = stick.mailbox.reconcile(&[as_it_was], &|_| true).unwrap();
    assert_eq!(changes, Changes::default());
    stick.prompts.clear();
    stick.look();
    assert_eq!(stick.mailbox.remembered("a.txt"), None);
}

#[test]
fn a_prompt_that_is_renamed_by_case_and_not_settled_yet_is_still_remembered() {
    let mut stick = Stick::new();
    stick.save("prompts/ä.txt", "Why?");
    stick.look();
    let as_it_was = stick.mailbox.remembered("Prompts/Ä.TXT").unwrap();
    assert_eq!(as_it_was.path, "prompts/ä.txt");
    let changes = stick.mailbox.reconcile(&[as_it_was], &|_| true).unwrap();
    assert_eq!(changes, Changes::default());
    // Linux keeps these two apart.
    stick.save("prompts/Ä.txt", "Why not?");
    stick.look();
    for path in ["prompts/ä.txt", "prompts/Ä.txt"] {
        assert_eq!(stick.mailbox.remembered(path).unwrap().path, path);
    }
}

#[test]
fn what_lies_in_a_folder_that_cannot_be_read_just_now_is_given_as_it_was() {
    let mut stick = Stick::new();
    for path in ["a.txt", "prompts/b.txt", "prompts/gone.txt", "ask/Why.txt"] {
        stick.save(path, path);
    }
    stick.look_and_work();
    stick.mailbox.feed_settings(Content(b"bad")).unwrap();
    stick.prompts.remove("prompts/gone.txt");
    stick.save("prompts/new.txt", "new");
    stick.look();
    let under = |folder| -> Vec<_> {
        let sightings = stick.mailbox.remembered_under(folder).into_iter();
        sightings.map(|sighting| sighting.path).collect()
    };
    assert_eq!(under(""), ["a.txt"]);
    assert_eq!(under("PROMPTS"), ["prompts/b.txt", "prompts/new.txt"]);
    assert_eq!(under("elsewhere"), NOTHING);
    for path in ["PROMPTS/B.response.txt", "prompts/gone.response.txt"] {
        assert!(stick.mailbox.is_published_path(path), "{path}");
    }
    assert!(!stick.mailbox.is_published_path("prompts/new.response.txt"));
    // All of it given again, nothing changes, although nothing of the folder is seen.
    let sightings = ["", "prompts", "ask"].map(|folder| stick.mailbox.remembered_under(folder));
    let unread = |path: &str| path.starts_with("prompts/");
    let exists = stick.exists();
    let changes = stick
        .mailbox
        .reconcile(&sightings.concat(), &|path| unread(path) || exists(path));
    assert_eq!(changes.unwrap(), Changes::default());
}

#[test]
fn the_path_of_an_answer_counts_from_when_it_is_intended_until_its_job_is_forgotten() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    assert!(!stick.mailbox.is_published_path("a.response.txt"));
    let names = stick.mailbox.names_for(&[JobId(1)], &stick.exists());
    stick.mailbox.publishing(&names).unwrap();
    assert!(stick.mailbox.is_published_path("a.response.txt"));
    stick.mailbox.published(&names).unwrap();
    assert!(stick.mailbox.is_published_path("A.Response.txt"));
    assert!(!stick.mailbox.is_published_path("a.txt"));
    stick.prompts.clear();
    stick.look();
    assert!(!stick.mailbox.is_published_path("a.response.txt"));
    assert!(stick.mailbox.used("a.response.txt"));
}

#[test]
fn a_copy_is_a_prompt_of_its_own() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response.txt"]);
    stick.save("a copy.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a copy.response.txt"]);
}

#[test]
fn a_deleted_prompt_drops_its_job() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.prompts.clear();
    assert_eq!(stick.look().dropped, [JobId(1)]);
    assert_eq!(stick.work(), NOTHING);
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look().added, [JobId(2)]);
}

#[test]
fn deleting_the_response_and_saving_again_asks_again_and_neither_alone_does() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look_and_work();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.answers.clear();
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response-2.txt"]);
    // Both between two looks.
    stick.answers.clear();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response-3.txt"]);
}

#[test]
fn a_prompt_that_vanishes_for_a_moment_while_it_is_saved_is_not_asked_again() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look_and_work();
    stick.prompts.clear();
    assert_eq!(stick.look(), Changes::default());
    let mut stick = stick.restart();
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), NOTHING);
    // Nor when the new name comes later than the old one goes.
    let file = stick.prompts.remove("a.txt").unwrap();
    stick.look();
    stick.prompts.insert("b.txt".into(), file);
    assert_eq!(stick.look_and_work(), NOTHING);
}

#[test]
fn a_prompt_that_is_deleted_with_its_response_is_forgotten() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look_and_work();
    stick.prompts.clear();
    stick.look();
    stick.answers.clear();
    stick.look();
    assert_eq!(stick.mailbox.counts().published, 0);
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response-2.txt"]);
}

#[test]
fn a_new_file_with_the_content_of_a_deleted_one_is_answered() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look_and_work();
    stick.prompts.clear();
    stick.look();
    stick.save("b.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["b.response.txt"]);
}

#[test]
fn one_stem_with_two_extensions_makes_two_names() {
    let mut stick = Stick::new();
    stick.save("a.txt", "one");
    stick.save("a.md", "two");
    assert_eq!(
        stick.look_and_work(),
        ["a.response.txt", "a.response-2.txt"]
    );
    assert_eq!(stick.answers["a.response-2.txt"], b"a.md");
}

#[test]
fn names_that_a_host_has_taken_are_left_to_it() {
    let mut stick = Stick::new();
    stick
        .answers
        .insert("A.Response.TXT".into(), b"the user's own".to_vec());
    stick.save("a.txt", "one");
    assert_eq!(stick.look_and_work(), ["a.response-2.txt"]);
}

#[test]
fn empty_files_in_ask_are_told_apart_by_name() {
    let mut stick = Stick::new();
    stick.save("ask/Why.txt", "");
    stick.save("ask/How.txt", "");
    assert_eq!(
        stick.look_and_work(),
        ["ask/Why.response.txt", "ask/How.response.txt"]
    );
    stick.rename("ask/Why.txt", "ask/When.txt");
    assert_eq!(stick.look_and_work(), ["ask/When.response.txt"]);
    stick.rename("ask/When.txt", "ask/When.md");
    assert_eq!(stick.look_and_work(), NOTHING);
    let jobs: Vec<_> = (1..=2)
        .filter_map(|id| stick.mailbox.job(JobId(id)))
        .collect();
    assert!(jobs.iter().all(|job| job.digest == Digest::of(b"")));
}

#[test]
fn a_power_cut_between_publishing_and_its_record_publishes_once() {
    for on_volume in [true, false] {
        let mut stick = Stick::new();
        stick.save("a.txt", "Why?");
        stick.look();
        stick.mailbox.answered(JobId(1), &response("x")).unwrap();
        let names = stick.mailbox.names_for(&[JobId(1)], &stick.exists());
        stick.mailbox.publishing(&names).unwrap();
        if on_volume {
            stick.answers.insert("a.response.txt".into(), b"x".to_vec());
        }
        let mut stick = stick.restart();
        stick.look();
        let expected: &[&str] = if on_volume { &[] } else { &["a.response.txt"] };
        assert_eq!(stick.work(), expected);
        assert_eq!(stick.answers["a.response.txt"], b"x");
    }
}

#[test]
fn a_strangers_file_under_the_intended_name_is_not_the_answer() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    stick.mailbox.feed_settings(Content(b"bad")).unwrap();
    let names = stick
        .mailbox
        .names_for(&[JobId(1), JobId(2)], &stick.exists());
    stick.mailbox.publishing(&names).unwrap();
    assert_eq!(stick.mailbox.intended(), names);
    // The volume could not be written, and the host had the medium in the meantime.
    for name in ["A.Response.txt", "SETTINGS.error.txt"] {
        stick.answers.insert(name.into(), b"the user's own".into());
    }
    stick.look();
    assert_eq!(stick.mailbox.intended(), []);
    let mut stick = stick.restart();
    assert_eq!(stick.mailbox.intended(), []);
    // Even if the user takes theirs away again, the names stay used.
    stick.answers.clear();
    let expected = ["a.response-2.txt", "SETTINGS.error-2.txt"];
    assert_eq!(stick.look_and_work(), expected);
    assert_eq!(stick.answers["a.response-2.txt"], b"x");
    assert_eq!(stick.look_and_work(), NOTHING);
}

#[test]
fn an_error_is_an_outcome_with_a_name_of_its_own() {
    let mut stick = Stick::new();
    stick.save("a.txt", "");
    stick.look();
    stick
        .mailbox
        .answered(
            JobId(1),
            &Outcome::Error {
                bytes: b"e".to_vec(),
            },
        )
        .unwrap();
    assert_eq!(stick.work(), ["a.error.txt"]);
    stick.save("a.txt", "Why?");
    assert_eq!(stick.look_and_work(), ["a.response.txt"]);
}

#[test]
fn bad_settings_are_answered_once_and_survive_a_restart() {
    let mut stick = Stick::new();
    stick
        .mailbox
        .feed_settings(Content(b"max_tokens = 9"))
        .unwrap();
    stick
        .mailbox
        .feed_settings(Content(b"max_token = 9"))
        .unwrap();
    assert_eq!(stick.look_and_work(), ["SETTINGS.error.txt"]);
    let mut stick = stick.restart();
    assert_eq!(stick.mailbox.settings().max_tokens, 9);
    assert!(
        stick
            .mailbox
            .feed_settings(Content(b"max_token = 9"))
            .unwrap()
            .error
            .is_none()
    );
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.mailbox.feed_settings(Content(b"worse")).unwrap();
    assert_eq!(stick.look_and_work(), ["SETTINGS.error-2.txt"]);
    stick.mailbox.feed_settings(Absent).unwrap();
    assert_eq!(stick.mailbox.settings().max_tokens, 256);
    let stick = stick.restart();
    assert_eq!(stick.mailbox.settings().max_tokens, 256);
}

#[test]
fn a_complaint_about_settings_is_withdrawn_when_they_are_mended_first() {
    let mut stick = Stick::new();
    stick.mailbox.feed_settings(Content(b"bad")).unwrap();
    assert_eq!(stick.mailbox.ready().len(), 1);
    stick.mailbox.feed_settings(Content(b"top_k = 1")).unwrap();
    assert_eq!(stick.mailbox.ready(), []);
}

#[test]
fn settings_that_are_too_large_or_damaged_leave_the_good_ones_alone() {
    let digest = Digest::of(b"what could be read");
    let huge = vec![b'#'; usize::try_from(crate::limits::SETTINGS_LIMIT_BYTES).unwrap() + 1];
    let bytes = u64::MAX;
    let why = "its end is missing".to_owned();
    for bad in [
        TooLarge { digest, bytes },
        Damaged { digest, why },
        Content(&huge),
    ] {
        let mut stick = Stick::new();
        let good = Content(b"max_tokens = 9");
        stick.mailbox.feed_settings(good).unwrap();
        stick.mailbox.feed_settings(bad.clone()).unwrap();
        assert_eq!(stick.mailbox.settings().max_tokens, 9);
        assert_eq!(stick.look_and_work(), ["SETTINGS.error.txt"]);
        let mut stick = stick.restart();
        assert_eq!(stick.mailbox.settings().max_tokens, 9);
        stick.mailbox.feed_settings(bad).unwrap();
        assert_eq!(stick.look_and_work(), NOTHING);
        stick.mailbox.feed_settings(Content(b"")).unwrap();
        assert_eq!(stick.mailbox.settings().max_tokens, 256);
    }
}

#[test]
fn the_newest_answers_are_kept_for_the_second_drive_and_no_more() {
    let mut stick = Stick::new();
    let limit = crate::limits::KEPT_OUTCOMES_MAX;
    for n in 0..limit + 3 {
        stick.save(&format!("{n}.txt"), "Why?");
    }
    stick.look_and_work();
    let recent = stick.mailbox.recent();
    assert_eq!(recent.len(), limit);
    assert_eq!(recent[0].path, format!("{}.response.txt", limit + 2));
    let bytes = stick.mailbox.outcome_bytes(recent[0].id).unwrap();
    assert_eq!(bytes.as_ref(), stick.answers.get(&recent[0].path));
    let stick = stick.restart();
    assert_eq!(stick.mailbox.recent(), recent);
}

#[test]
fn a_second_mailbox_on_the_same_folder_is_refused() {
    let stick = Stick::new();
    let second = Mailbox::open(stick.state.path(), SERIAL);
    assert!(matches!(second, Err(MailboxError::InUse { .. })));
}

#[test]
fn an_answer_that_is_too_large_becomes_an_error_file() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    let bytes = vec![b'x'; crate::limits::RESPONSE_LIMIT_BYTES + 1];
    stick
        .mailbox
        .answered(JobId(1), &Outcome::Response { bytes })
        .unwrap();
    assert_eq!(stick.work(), ["a.error.txt"]);
    assert!(stick.answers["a.error.txt"].starts_with(b"The response is too large: it has 1.0 MiB"));
}

#[test]
fn a_lost_answer_is_made_again() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    std::fs::write(stick.state.path().join("answers/1"), b"y").unwrap();
    let mut stick = stick.restart();
    assert_eq!(stick.work(), ["a.response.txt"]);
}
