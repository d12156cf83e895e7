//! ggml's backends: which of them computes is a matter of the process ([`ggml_armv6::take`]), while
//! here it is one of a model. A lock makes sure that a model is loaded, and a context made, with
//! the backend that it is for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ggml_armv6::Take;

use crate::backend::Backend;

static CHOICE: Mutex<()> = Mutex::new(());

/// While it lives, what is loaded and made is for one backend.
pub struct Chosen {
    /// What was asked for, or [`Backend::Cpu`] where that cannot be had.
    pub backend: Backend,
    _guard: MutexGuard<'static, ()>,
}

/// Chooses. `has_output` says that the model has an output matrix beside its embedding.
pub fn choose(asked: Backend, has_output: bool) -> Chosen {
    let guard = CHOICE.lock().unwrap_or_else(PoisonError::into_inner);
    let backend = match asked {
        Backend::Cpu => Backend::Cpu,
        Backend::Armv6 => match ggml_armv6::register() {
            Ok(()) => {
                // SAFETY: the models of this process are loaded by `Model::load` alone, mapped.
                unsafe { ggml_armv6::release_sources(true) };
                Backend::Armv6
            }
            Err(error) => {
                tracing::warn!("{error}; ggml's own backend computes");
                Backend::Cpu
            }
        },
    };
    ggml_armv6::take(match (backend, has_output) {
        (Backend::Cpu, _) => Take::Nothing,
        (Backend::Armv6, true) => Take::Matrices,
        (Backend::Armv6, false) => Take::MatricesAndEmbedding,
    });
    Chosen {
        backend,
        _guard: guard,
    }
}
