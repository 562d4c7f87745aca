//! The reminder: mail is still held.

use super::{Alert, AlertKind, figures, plain, sources, without_evidence};
use crate::explain::span;
use crate::facts::Ms;
use crate::storm::Storm;

impl Alert {
    /// What is told when mail has been held for `held_ms` and nobody has decided on it; its time is over
    /// in `left_ms`. `about`: the storm's id, or `queue_id` where it is held for none; `storm`: what is
    /// known of it.
    pub fn held(
        about: Option<&str>,
        queue_id: &str,
        storm: Option<&Storm>,
        held_ms: Ms,
        left_ms: Ms,
    ) -> Self {
        let (held, left) = (span(held_ms), span(left_ms / 60_000 * 60_000));
        let known = storm.map_or(String::new(), |s| format!("\n{}{}", figures(s), sources(&s.sources)));
        let text = format!(
            "Mail has been held for {held} and nobody has decided what is to become of it. In {left}\n\
             each recipient in our domains gets it in a digest, what was going out goes back to its\n\
             sender, and mail of machines comes to you alone. Nothing is delivered by itself.\n{known}\n\
             {}",
            commands(about, queue_id)
        );
        let of = about.map_or(String::new(), |id| format!(", storm {}", plain(id)));
        let subject = format!("quell: mail is held since {held}{of}");
        let about = plain(about.unwrap_or(queue_id));
        Self {
            kind: AlertKind::StillHeld,
            to: None,
            about,
            storm: storm.map(without_evidence),
            subject,
            text,
        }
    }
}

fn commands(storm: Option<&str>, queue_id: &str) -> String {
    let what = storm.map_or_else(|| format!("--message {}", plain(queue_id)), plain);
    let look = match storm {
        Some(_) => format!("quell storms digest {what} --print"),
        None => "quell queue list --state held".to_owned(),
    };
    format!(
        "To look at it, to deliver it, to throw it away:\n  {look}\n  quell storms release {what}\n  \
         quell storms discard {what}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_long_and_what_can_be_done() {
        let hour = 3_600_000;
        let alert = Alert::held(Some("0123\r\nX: y"), "q", None, 4 * hour, 44 * hour + 5);
        assert_eq!(alert.subject, "quell: mail is held since 4 h, storm 0123??X:?y");
        assert!(alert.text.contains("quell storms release 0123??X:?y\n"), "{}", alert.text);
        assert!(alert.text.contains("held for 4 h") && alert.text.contains("In 44 h\n"), "{}", alert.text);
        assert!(alert.text.is_ascii() && alert.text.ends_with('\n') && !alert.text.contains('\r'));
        let alert = Alert::held(None, "q", None, 24 * hour, 0);
        assert!(alert.text.contains("quell storms discard --message q\n"), "{}", alert.text);
        assert_eq!((alert.about.as_str(), alert.kind), ("q", AlertKind::StillHeld));
    }
}
