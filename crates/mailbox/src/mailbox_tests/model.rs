//! Random histories of a user who saves, renames, copies and deletes, of a daemon that looks,
//! answers and publishes in between or fails to, of names that the user takes first, of power that
//! goes and of a disk that is full at any time.
//!
//! What must hold is in [`Rig`]: each prompt that is there in the end is answered as it is then; no
//! content is answered more often than the user gave a reason to; no name is used twice or
//! taken from the user; a second look finds nothing to do. proptest prints the history that failed,
//! and its seed.

use proptest::prelude::*;

use super::rig::Rig;
use crate::testing::DiskFault;

const PATHS: [&str; 6] = [
    "a.txt",
    "A.md",
    "b.txt",
    "prompts/a.txt",
    "ask/q.txt",
    "ask/Q.md",
];
const CONTENTS: [&str; 4] = ["x", "y", "z", ""];

#[derive(Clone, Debug)]
enum Action {
    Save(usize, usize),
    Rename(usize, usize),
    Swap(usize, usize),
    Copy(usize, usize),
    Delete(usize),
    DeleteAnswer(usize),
    Look,
    Answer,
    Publish,
    PublishInVain,
    Squat,
    Restart,
    CutAfter(usize),
    FailAfter(usize),
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    let path = 0..PATHS.len();
    let two = (path.clone(), path.clone());
    prop_oneof![
        4 => (path.clone(), 0..CONTENTS.len()).prop_map(|(path, content)| Save(path, content)),
        2 => two.clone().prop_map(|(from, to)| Rename(from, to)),
        1 => two.clone().prop_map(|(a, b)| Swap(a, b)),
        1 => two.prop_map(|(from, to)| Copy(from, to)),
        2 => path.prop_map(Delete),
        1 => (0..9usize).prop_map(DeleteAnswer),
        3 => Just(Look),
        4 => Just(Answer),
        3 => Just(Publish),
        2 => Just(PublishInVain),
        2 => Just(Squat),
        1 => Just(Restart),
        1 => (0..20usize).prop_map(CutAfter),
        1 => (0..20usize).prop_map(FailAfter),
    ]
}

fn act(rig: &mut Rig, action: &Action) {
    match *action {
        Action::Save(path, content) => rig.save(PATHS[path], CONTENTS[content]),
        Action::Rename(from, to) => rig.rename(PATHS[from], PATHS[to]),
        Action::Swap(a, b) if a != b => {
            rig.rename(PATHS[a], "t.txt");
            rig.rename(PATHS[b], PATHS[a]);
            rig.rename("t.txt", PATHS[b]);
        }
        Action::Swap(..) => {}
        Action::Copy(from, to) => rig.copy(PATHS[from], PATHS[to]),
        Action::Delete(path) => rig.delete(PATHS[path]),
        Action::DeleteAnswer(index) => rig.delete_answer(index),
        Action::Look => drop(rig.surely(Rig::look)),
        Action::Answer => drop(rig.surely(Rig::answer)),
        Action::Publish => rig.surely(Rig::publish),
        Action::PublishInVain => drop(rig.surely(Rig::intend)),
        Action::Squat => rig.squat(),
        Action::Restart => rig.restart(),
        Action::CutAfter(operations) => rig.disk.cut_after(operations),
        Action::FailAfter(operations) => rig.disk.fail_after(operations, DiskFault::Full),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn each_final_content_is_answered_once(
        seed in any::<u64>(),
        actions in prop::collection::vec(action(), 1..60),
    ) {
        let mut rig = Rig::new(seed);
        actions.iter().for_each(|action| act(&mut rig, action));
        rig.finish();
    }
}
