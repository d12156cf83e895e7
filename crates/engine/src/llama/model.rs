//! A model in memory: loading, its vocabulary, its chat template.

use std::cell::Cell;
use std::ffi::CString;
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;

use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::{LlamaChatMessage, LlamaChatTemplate, LlamaModel};
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2::llama_model;

use super::backend::choose;
use super::log::{capture_logs, take_error};
use crate::backend::Backend;
use crate::error::Failure;
use crate::gguf::read_card;
use crate::mark;
use crate::memory::MOST_PROCESS_BYTES;
use crate::options::ModelOptions;
use crate::template::{Message, SpecialToken, Vocabulary};

/// Longest text of a special token that is recognised; real ones are a few dozen bytes.
const MAX_SPECIAL_BYTES: usize = 256;

/// A loaded model.
#[derive(Debug)]
pub struct Model {
    model: LlamaModel,
    specials: Vec<SpecialToken>,
    backend: Backend,
    has_output: bool,
    /// Making a context may write to the model, so a model is used from one thread at a time.
    not_sync: PhantomData<Cell<()>>,
}

fn start_backend() -> Result<(), Failure> {
    static BACKEND: OnceLock<Option<LlamaBackend>> = OnceLock::new();
    capture_logs();
    let backend = BACKEND.get_or_init(|| LlamaBackend::init().ok());
    let started = backend.as_ref().map(|_| ());
    started.ok_or_else(|| Failure::Compute {
        why: "llama.cpp does not start".into(),
    })
}

impl Model {
    /// Maps and loads a file for a backend; [`Self::backend`] says which it was. llama.cpp may
    /// abort on a hostile one: only in the child process, or where a person chose the file.
    ///
    /// # Errors
    /// [`Failure::ModelUnreadable`] with llama.cpp's words, or [`Failure::OutOfMemory`].
    pub fn load(options: &ModelOptions) -> Result<Self, Failure> {
        start_backend()?;
        let _ = take_error();
        let path = options.path.as_path();
        if !path.exists() {
            return Err(Failure::ModelMissing {
                path: path.to_owned(),
            });
        }
        check_length(path)?;
        // What our own parser does not read, llama.cpp says in its own words.
        let has_output = read_card(path).is_ok_and(|card| card.has_output);
        let unusable = |why: &str| Failure::ModelUnreadable {
            why: why.to_owned(),
        };
        let path = path
            .to_str()
            .ok_or_else(|| unusable("its name is not UTF-8"))?;
        let path = CString::new(path).map_err(|_| unusable("its name has a NUL"))?;
        // SAFETY: returns plain data.
        let mut params = unsafe { llama_cpp_sys_2::llama_model_default_params() };
        params.load_mode = llama_cpp_sys_2::LLAMA_LOAD_MODE_MMAP;
        // No second copy of the weights in another order: it would double the memory that the fit
        // check counts, on processors that have one; the board has none.
        params.use_extra_bufts = false;
        let chosen = choose(options.backend, has_output);
        mark::promptstick_mark_load();
        // SAFETY: the path is a C string that lives during the call, the backend has been started.
        let raw = unsafe { llama_cpp_sys_2::llama_model_load_from_file(path.as_ptr(), params) };
        mark::promptstick_mark_end();
        let raw = NonNull::new(raw).ok_or_else(load_failure)?;
        // SAFETY: LlamaModel is #[repr(transparent)] over a #[repr(transparent)] wrapper of
        // NonNull<llama_model> (llama-cpp-2 0.1.160; transmute checks the size), and takes over the
        // ownership of the model: dropping it frees it, once.
        let model = unsafe { std::mem::transmute::<NonNull<llama_model>, LlamaModel>(raw) };
        let mut loaded = Self {
            model,
            specials: Vec::new(),
            backend: chosen.backend,
            has_output,
            not_sync: PhantomData,
        };
        loaded.specials = special_tokens(&loaded.model, loaded.raw());
        Ok(loaded)
    }

    /// What computes.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Whether it has an output matrix beside its embedding.
    pub(super) fn has_output(&self) -> bool {
        self.has_output
    }

    /// The model for `llama-cpp-2`'s samplers.
    #[must_use]
    pub fn inner(&self) -> &LlamaModel {
        &self.model
    }

    /// Context that the model was trained on (tokens); 0 when it does not say.
    #[must_use]
    pub fn train_context_tokens(&self) -> u32 {
        self.model.n_ctx_train()
    }

    /// Tokens in the vocabulary.
    #[must_use]
    pub fn vocabulary_tokens(&self) -> usize {
        usize::try_from(self.model.n_vocab()).unwrap_or(0)
    }

    /// Whether the token ends a response.
    #[must_use]
    pub fn is_end(&self, token: LlamaToken) -> bool {
        self.model.vocab().is_eog(token)
    }

    /// The bytes of a token; none for a control token.
    #[must_use]
    pub fn token_bytes(&self, token: LlamaToken) -> Vec<u8> {
        self.model.vocab().token_to_piece(token, false, None)
    }

    /// Whether the file has a chat template.
    #[must_use]
    pub fn has_chat_template(&self) -> bool {
        self.template().is_some()
    }

    /// The messages in the model's own template, open for the assistant's answer; `None` when there
    /// is no template or llama.cpp does not know it.
    #[must_use]
    pub fn render(&self, messages: &[Message]) -> Option<String> {
        let template = self.template()?;
        let messages: Option<Vec<LlamaChatMessage>> = messages
            .iter()
            .map(|m| LlamaChatMessage::new(m.role.to_owned(), m.content.clone()).ok())
            .collect();
        self.model
            .apply_chat_template(&template, &messages?, true)
            .ok()
    }

    fn template(&self) -> Option<LlamaChatTemplate> {
        self.model.chat_template(None).ok()
    }

    pub(super) fn raw(&self) -> NonNull<llama_model> {
        // SAFETY: both have the same representation, see `load`.
        unsafe { std::ptr::from_ref(&self.model).cast::<NonNull<_>>().read() }
    }
}

impl Vocabulary for Model {
    fn specials(&self) -> &[SpecialToken] {
        &self.specials
    }

    fn begins_with(&self) -> Option<i32> {
        let vocab = self.model.vocab();
        vocab.should_add_bos().then(|| vocab.bos().0)
    }

    fn tokenize_text(&self, text: &str) -> Vec<i32> {
        let tokens = self.model.vocab().tokenize(text.as_bytes(), false, false);
        tokens.into_iter().map(|token| token.0).collect()
    }
}

/// llama.cpp takes the length of a file for a `size_t`: of one that is longer it would map what the
/// lower 32 bits say, and read past that.
fn check_length(path: &Path) -> Result<(), Failure> {
    let needed_bytes = path.metadata().map_or(0, |metadata| metadata.len());
    let available_bytes = MOST_PROCESS_BYTES;
    if needed_bytes > available_bytes {
        return Err(Failure::DoesNotFit {
            needed_bytes,
            available_bytes,
        });
    }
    Ok(())
}

fn load_failure() -> Failure {
    let logged = take_error();
    if is_out_of_memory(&logged) {
        return Failure::OutOfMemory;
    }
    let why = if logged.is_empty() {
        "llama.cpp does not load it".to_owned()
    } else {
        logged
    };
    Failure::ModelUnreadable { why }
}

/// Whether llama.cpp's or the C++ library's words mean that memory ran out.
pub fn is_out_of_memory(line: &str) -> bool {
    const SIGNS: [&str; 6] = [
        "bad_alloc",
        "failed to allocate",
        "memory allocation of",
        "out of memory",
        // ENOMEM in the words of glibc, and of musl.
        "mmap failed: Cannot allocate",
        "mmap failed: Out of memory",
    ];
    SIGNS.iter().any(|sign| line.contains(sign))
}

/// Control and user-defined tokens with their texts, longest first as llama.cpp looks for them.
fn special_tokens(model: &LlamaModel, raw: NonNull<llama_model>) -> Vec<SpecialToken> {
    // Constants of a C enumeration: their type differs between platforms.
    #[allow(clippy::unnecessary_cast)]
    const CONTROL: u32 = llama_cpp_sys_2::LLAMA_TOKEN_ATTR_CONTROL as u32;
    #[allow(clippy::unnecessary_cast)]
    const SPECIAL: u32 = CONTROL
        | llama_cpp_sys_2::LLAMA_TOKEN_ATTR_USER_DEFINED as u32
        | llama_cpp_sys_2::LLAMA_TOKEN_ATTR_UNKNOWN as u32;
    let vocab = model.vocab();
    // Read by hand: `LlamaVocab::attr` panics on bits that it does not know.
    let attributes = |token: LlamaToken| {
        // SAFETY: the model is alive, its vocabulary lives as long, and the token is one of its
        // own.
        unsafe {
            let vocab = llama_cpp_sys_2::llama_model_get_vocab(raw.as_ptr());
            llama_cpp_sys_2::llama_vocab_get_attr(vocab, token.0) as u32
        }
    };
    let mut specials: Vec<SpecialToken> = vocab
        .tokens()
        .filter_map(|token| {
            let attributes = attributes(token);
            if attributes & SPECIAL == 0 {
                return None;
            }
            let text = vocab.text(token)?.to_str().ok()?.to_owned();
            let is_control = attributes & CONTROL != 0;
            let usable = (1..=MAX_SPECIAL_BYTES).contains(&text.len());
            usable.then_some(SpecialToken {
                id: token.0,
                text,
                is_control,
            })
        })
        .collect();
    specials.sort_by_key(|special| std::cmp::Reverse(special.text.len()));
    specials
}
