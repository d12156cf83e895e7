//! Requests through the child process.

use engine::Finish;

use super::support::{TestModel, ask, greedy, run, worker};
use crate::support::gguf::Spec;

#[test]
fn a_prompt_is_answered_and_the_model_stays() {
    let model = TestModel::new(&Spec::tiny());
    run(async {
        let mut worker = worker();
        let first = ask(
            &mut worker,
            &model.options(),
            greedy("Once upon a time", 20),
        )
        .await;
        assert_eq!(first.summary().finish, Finish::MaxTokens, "{first:?}");
        assert_eq!(first.summary().response_tokens, 20);
        assert!(first.loaded.is_some());
        let second = ask(
            &mut worker,
            &model.options(),
            greedy("Once upon a time", 20),
        )
        .await;
        assert_eq!(second.text, first.text);
        assert!(second.loaded.is_none());
        assert!(worker.model().is_some());
        worker.stop().await;
        assert_eq!(worker.process_id(), None);
    });
}
