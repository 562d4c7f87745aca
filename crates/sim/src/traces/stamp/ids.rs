//! Queue numbers in the shapes of the servers that give them.

use super::super::clock::{self, Zone};
use super::super::dice::Dice;

const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LONG_ID: &str = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

fn in_base(mut number: u64, base: u64, width: usize) -> String {
    let alphabet = BASE62.as_bytes();
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[usize::try_from(number % base).unwrap_or(0)];
        number /= base;
    }
    digits.into_iter().map(char::from).collect()
}

/// Microseconds and an inode in hexadecimal; the long form of 3.x now and then.
pub fn postfix(dice: &mut Dice) -> String {
    match dice.below(6) {
        0 => format!("4{}z{}", dice.text(LONG_ID, 8), dice.text(LONG_ID, 4)),
        n => {
            let length = if n < 3 { 10 } else { 11 };
            dice.upper_hex(length)
        }
    }
}

/// Seconds, process and fraction in base 62.
pub fn exim(shown_ms: i64, dice: &mut Dice) -> String {
    let secs = u64::try_from(shown_ms / 1_000).unwrap_or(0);
    let process = dice.count(300, 60_000) as u64;
    let fraction = dice.count(0, 1_999) as u64;
    format!("{}-{}-{}", in_base(secs, 62, 6), in_base(process, 62, 6), in_base(fraction, 62, 2))
}

/// Year, month, day, hour, minute and second in base 60, a counter, and the process.
pub fn sendmail(shown_ms: i64, zone: Zone, dice: &mut Dice) -> String {
    let digits = clock::digits(shown_ms, zone);
    let part =
        |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse().ok()).unwrap_or(0_u64);
    let letter = |number: u64| in_base(number, 60, 1);
    let date =
        [(part(0, 4) - 1900) % 60, part(4, 6) - 1, part(6, 8), part(8, 10), part(10, 12), part(12, 14)];
    let date: String = date.into_iter().map(letter).collect();
    let counter = in_base(dice.below(3_600) as u64, 60, 2);
    format!("{date}{counter}{:06}", dice.count(300, 99_999))
}

/// As ZMailer names its files.
pub fn zmailer(dice: &mut Dice) -> String {
    let number = dice.digits(6);
    format!("S{number}Ab{}", dice.letters(5))
}

/// As Google names its sessions.
pub fn google(dice: &mut Dice) -> String {
    let start = dice.text("abcdefghijklmnopqrstuvwxyz", 1);
    let session = dice.digits(2);
    format!(
        "{start}{session}mr{}{}.{}",
        dice.digits(7),
        dice.text("abcdefghijklmnopqrstuvwxyz", 3),
        dice.digits(3)
    )
}

/// As Courier: inode, time, process.
pub fn courier(shown_ms: i64, dice: &mut Dice) -> String {
    format!("{:016X}.{:016X}.{:08X}", dice.count(1, 1 << 24), shown_ms / 1_000, dice.count(300, 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_real_shapes() {
        let mut dice = Dice::new("x", 1);
        let at = 1_155_587_581_000; // Mon, 14 Aug 2006 20:33:01 UTC
        let id = exim(at, &mut dice);
        assert!(id.starts_with("1GCj") && id.len() == 16, "{id}");
        let id = sendmail(at, clock::UTC, &mut dice);
        assert!(id.starts_with("k7EKX1") && id.len() == 14, "{id}");
        assert_eq!(in_base(61, 62, 2), "0z");
        assert!(postfix(&mut dice).len() >= 10 && zmailer(&mut dice).starts_with('S'));
    }
}
