//! The life of prompts on a real folder, one rule a test.

use super::stick::{NOTHING, SERIAL, Stick, response};
use crate::SettingsFile::Content;
use crate::{Changes, Digest, JobId, Mailbox, MailboxError, Outcome};

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
    assert_eq!(stick.mailbox.remembered(["a.txt"]), []);
    stick.look_and_work();
    let as_it_was = stick.mailbox.remembered(["a.txt"]).remove(0);
    assert_eq!(as_it_was.digest, Digest::of(b"Why?"));
    let changes = stick.mailbox.reconcile(&[as_it_was], &|_| true).unwrap();
    assert_eq!(changes, Changes::default());
    stick.prompts.clear();
    stick.look();
    assert_eq!(stick.mailbox.remembered(["a.txt"]), []);
}

#[test]
fn a_prompt_that_is_renamed_by_case_and_not_settled_yet_is_still_remembered() {
    let mut stick = Stick::new();
    stick.save("prompts/ä.txt", "Why?");
    stick.look();
    let as_it_was = stick.mailbox.remembered(["Prompts/Ä.TXT"]).remove(0);
    assert_eq!(as_it_was.path, "prompts/ä.txt");
    let changes = stick.mailbox.reconcile(&[as_it_was], &|_| true).unwrap();
    assert_eq!(changes, Changes::default());
    // Linux keeps these two apart.
    stick.save("prompts/Ä.txt", "Why not?");
    stick.look();
    for path in ["prompts/ä.txt", "prompts/Ä.txt"] {
        assert_eq!(stick.mailbox.remembered([path])[0].path, path);
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
fn a_second_mailbox_on_the_same_folder_is_refused() {
    let stick = Stick::new();
    let second = Mailbox::open(stick.state.path(), SERIAL);
    assert!(matches!(second, Err(MailboxError::InUse { .. })));
}
