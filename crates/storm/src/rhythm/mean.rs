//! A mean of messages an hour in 16 bits, and how it learns.

/// Parts of a message that a mean is counted in.
pub(super) const PARTS: u64 = 64;

/// Bits after the leading one: a mean is off by at most 1/4096 of itself.
const BITS: u32 = 11;

/// A mean, as a small floating-point number: up to 63 messages to 1/64, then with 12 bits, up to
/// 68 billion an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mean(u16);

impl Mean {
    /// The nearest to `parts` 64ths of a message; what is too great is the greatest.
    pub(super) fn from_parts(parts: u64) -> Self {
        let shift = (u64::BITS - parts.leading_zeros()).saturating_sub(BITS + 1);
        // Rounding may carry into one bit more, which is then the next exponent's first.
        let rounded = if shift == 0 { parts } else { parts.saturating_add(1 << (shift - 1)) >> shift };
        let code = (u64::from(shift) << BITS) + rounded;
        Self(u16::try_from(code).unwrap_or(u16::MAX))
    }

    /// In 64ths of a message.
    pub(super) fn parts(self) -> u64 {
        let (code, one) = (u64::from(self.0), 1 << BITS);
        let exponent = code >> BITS;
        if exponent < 2 { code } else { (code % one + one) << (exponent - 1) }
    }

    /// After another week in which the hour had `count` messages: these weigh a quarter, so that
    /// half of what is known is from the last two and a half weeks.
    pub(super) fn learned(self, count: u32) -> Self {
        Self::from_parts((3 * self.parts() + PARTS * u64::from(count)) / 4)
    }

    /// After as many weeks in which the hour had none as `share`, of [`silence`], says.
    pub(super) fn faded(self, share: u64) -> Self {
        Self::from_parts(((u128::from(self.parts()) * u128::from(share)) >> 32) as u64)
    }
}

/// What is left of a mean after `weeks` of silence, in 2^-32.
pub(super) fn silence(weeks: u32) -> u64 {
    (0..weeks.min(80)).fold(1 << 32, |share, _| share / 4 * 3)
}
