//! How far the engine is with a prompt, and how fast. Pure.

use engine::Event;

use super::answers::Stage;

/// One prompt in work.
#[derive(Clone, Debug)]
pub struct Pace {
    stage: Stage,
    prompt_tokens: u32,
    /// When the first piece of the response came.
    first_ms: Option<u64>,
    last_ms: u64,
}

impl Pace {
    /// At the beginning.
    pub fn start(now_ms: u64) -> Self {
        Self {
            stage: Stage::Loading,
            prompt_tokens: 0,
            first_ms: None,
            last_ms: now_ms,
        }
    }

    /// Takes note of what the engine says.
    pub fn note(&mut self, now_ms: u64, event: &Event) {
        self.last_ms = now_ms;
        match event {
            Event::Started { prompt_tokens } => {
                self.prompt_tokens = *prompt_tokens;
                self.read(0);
            }
            Event::Prefilled { tokens } => self.read(*tokens),
            Event::Text(_) => {
                self.first_ms.get_or_insert(now_ms);
                let before = match self.stage {
                    Stage::Writing { tokens } => tokens,
                    _ => 0,
                };
                // A piece is a token, or a few where a character has more than one.
                let tokens = before.saturating_add(1);
                self.stage = Stage::Writing { tokens };
            }
            _ => {}
        }
    }

    /// How far it is.
    pub fn stage(&self) -> Stage {
        self.stage.clone()
    }

    /// Tokens of the response per second, once there are two.
    pub fn tokens_per_s(&self) -> Option<f64> {
        const MS_PER_S: f64 = 1_000.0;
        let Stage::Writing { tokens } = self.stage else {
            return None;
        };
        let after_first = tokens.checked_sub(1).filter(|tokens| *tokens > 0)?;
        let ms = u32::try_from(self.last_ms.checked_sub(self.first_ms?)?).ok()?;
        (ms > 0).then(|| f64::from(after_first) * MS_PER_S / f64::from(ms))
    }

    fn read(&mut self, tokens: u32) {
        let of = self.prompt_tokens;
        self.stage = Stage::Reading { tokens, of };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_engine_from_loading_to_writing() {
        let mut pace = Pace::start(0);
        assert_eq!(pace.stage(), Stage::Loading);
        pace.note(10, &Event::Started { prompt_tokens: 40 });
        pace.note(20, &Event::Prefilled { tokens: 30 });
        assert_eq!(pace.stage(), Stage::Reading { tokens: 30, of: 40 });
        assert_eq!(pace.tokens_per_s(), None);
        for now_ms in [1_000, 1_500, 2_000] {
            pace.note(now_ms, &Event::Text("word ".into()));
        }
        assert_eq!(pace.stage(), Stage::Writing { tokens: 3 });
        assert_eq!(
            pace.tokens_per_s(),
            Some(2.0),
            "two after the first, in a second"
        );
    }
}
