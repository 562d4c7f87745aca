//! Every reason has its words.

use quell_storm::exceptions::LetPass;
use quell_storm::limits::Limits;
use quell_storm::policy::Policy;
use quell_storm::rhythm::{Flood, Window};
use quell_storm::signs::{Again, Leaving, Replies, Reports, Sent, SentWithin, Signs, Suspicion, Turns};
use quell_storm::verdict::{Class, Copies, Reason};

/// What a reason must say to the operator, and whether the sender is told. A new variant does not
/// compile here until it has a line.
fn must_say(reason: &Reason) -> (&'static [&'static str], bool) {
    const NUMBERS: &str = "3 for this recipient, at least 20 over all; a storm opens at 5 ([judge] \
                           storm_rcpt_copies) or 20 (storm_key_copies)";
    match reason {
        Reason::FirstArrival => (&["Passed", "first arrival"], false),
        Reason::NoExactKey => (&["Passed", "Message-ID", "30 days"], false),
        Reason::TokenWithoutRow => (&["Passed", "token", "not for this recipient"], false),
        Reason::Exempt(_) => (&["Passed", "a person released", "rule copies"], false),
        Reason::CopyOfWaiting(_) => (&["Absorbed by rule copies", "waiting here", NUMBERS], false),
        Reason::CopyOfDelivered(_) => (&["Absorbed by rule copies", "has it", NUMBERS], false),
        Reason::CopyOfHeld(_) => (&["Absorbed by rule copies", "held", NUMBERS], false),
        Reason::OtherSourceThanHeld => (&["Passed", "another source"], false),
        Reason::CopyOfUnknown(_) => (&["Absorbed by rule copies", "not known", NUMBERS], false),
        Reason::CopyOfDiscarded(_) => {
            (&["Absorbed by rule copies", "24 h", "discarded_window_secs", NUMBERS], false)
        }
        Reason::FailedJustNow => (&["Refused by rule copies", "30 min", "failed_window_secs"], true),
        Reason::NewLife { .. } => (&["Passed", "number 2 of at most 8", "max_lives_per_day"], false),
        Reason::NoMoreLives { .. } => (&["Refused by rule copies", "8 times", "max_lives_per_day"], true),
        Reason::NewAfterDiscard => (&["Passed", "24 h", "discarded_window_secs"], false),
        Reason::LoopDelivered => (&["Absorbed by rule loop", "token", "has it"], false),
        Reason::LoopSent => (&["Refused by rule loop", "token", "sent on"], true),
        Reason::TooManyHops { .. } => (&["Refused by rule loop", "117", "100", "max_hops"], true),
        Reason::Excepted(..) => (
            &[
                "Passed, since",
                "[exceptions] senders",
                "rule reply_all would suspect it",
                "reply 11",
                "10 pass",
            ],
            false,
        ),
        Reason::Suspect(Suspicion::Resent { .. }, _) => (
            &[
                "Held, by rule resent",
                "arrival 3 within 48 h",
                "2 pass",
                "resent_arrivals",
                "[policy] resent",
            ],
            false,
        ),
        Reason::Suspect(Suspicion::Reinjected(_), _) => {
            (&["Held, by rule reinjected", "came in before", "2 people", "[policy] reinjected"], false)
        }
        Reason::Suspect(Suspicion::ReplyAll { .. }, _) => (
            &[
                "Held, by rule reply_all",
                "reply 11",
                "50 people",
                "9 authors",
                "reply_all_replies",
                "[exceptions]",
            ],
            false,
        ),
        Reason::Suspect(Suspicion::AutoReply { .. }, _) => {
            (&["Held, by rule auto_reply", "5 times in turn", "4 turns pass", "auto_reply_turns"], false)
        }
        Reason::Suspect(Suspicion::Bounces { .. }, _) => {
            (&["Refused, by rule bounces", "report 21", "bounces_per_recipient", "\"refuse\""], true)
        }
        Reason::Suspect(Suspicion::Flood(_), _) => {
            (&["Passed, and told, by rule flood", "900 messages", "40 are usual", "[policy] flood"], false)
        }
        Reason::Suspect(Suspicion::UserLimit { within, .. }, _) => (of_user_limit(*within), false),
    }
}

fn of_user_limit(within: SentWithin) -> &'static [&'static str] {
    match within {
        SentWithin::Hour => {
            &["Held, by rule user_limit", "message 101 within an hour", "100 pass", "messages_per_hour"]
        }
        SentWithin::Day => {
            &["message 501 within a day", "500 pass", "messages_per_day", "[policy] user_limit"]
        }
        SentWithin::NewRecipients => {
            &["number 401 within a day", "400 pass", "new_recipients_per_day; four times as many"]
        }
    }
}

fn copies(class: Class) -> Copies {
    Copies { class, of_recipient: 3, of_key: 20 }
}

fn suspicions() -> [Reason; 7] {
    [
        Reason::Suspect(
            Suspicion::Resent {
                again: Again {
                    arrivals: 3,
                    other_way: true,
                    marked: false,
                    words: 44,
                    sendings: 1,
                    same_source: true,
                },
                limit: 2,
            },
            Policy::Hold,
        ),
        Reason::Suspect(
            Suspicion::Reinjected(Leaving {
                came_in: true,
                marked: false,
                addressed: 2,
                stands: true,
                had: false,
            }),
            Policy::Hold,
        ),
        Reason::Suspect(
            Suspicion::ReplyAll {
                replies: Replies { people: 50, replies: 11, authors: 9, list: false },
                limit: 10,
            },
            Policy::Hold,
        ),
        Reason::Suspect(
            Suspicion::AutoReply { turns: Turns { turns: 5, by_machines: 3 }, limit: 4 },
            Policy::Hold,
        ),
        Reason::Suspect(
            Suspicion::Bounces {
                reports: Reports {
                    of_recipient: 21,
                    sent: 3,
                    of_message: 0,
                    message_sent: 0,
                    is_settled: true,
                },
                of_message: false,
                limit: 20,
            },
            Policy::Refuse,
        ),
        Reason::Suspect(
            Suspicion::Flood(Flood {
                window: Window::Hour,
                count: 900,
                usual: 40,
                threshold: 400,
                began: true,
            }),
            Policy::Tell,
        ),
        user_limit(SentWithin::Hour, 100),
    ]
}

fn user_limit(within: SentWithin, limit: u32) -> Reason {
    let sent = Sent { hour: 101, day: 501, new_recipients: Some(401), is_settled: false };
    Reason::Suspect(Suspicion::UserLimit { sent, within, limit }, Policy::Hold)
}

fn every() -> Vec<Reason> {
    let mut all = vec![
        Reason::FirstArrival,
        Reason::NoExactKey,
        Reason::TokenWithoutRow,
        Reason::Exempt("copies".into()),
        Reason::Excepted(
            Suspicion::ReplyAll {
                replies: Replies { people: 50, replies: 11, authors: 9, list: false },
                limit: 10,
            },
            LetPass::Sender,
        ),
        Reason::CopyOfWaiting(copies(Class::Copies)),
        Reason::CopyOfDelivered(copies(Class::Copies)),
        Reason::CopyOfHeld(copies(Class::Copies)),
        Reason::OtherSourceThanHeld,
        Reason::CopyOfUnknown(copies(Class::Copies)),
        Reason::CopyOfDiscarded(copies(Class::Copies)),
        Reason::FailedJustNow,
        Reason::NewLife { life: 2 },
        Reason::NoMoreLives { limit: 8 },
        Reason::NewAfterDiscard,
        Reason::LoopDelivered,
        Reason::LoopSent,
        Reason::TooManyHops { hops: 117, limit: 100 },
    ];
    all.extend(suspicions());
    assert_eq!(all.len(), 25, "as many as there are arms in must_say");
    all
}

#[test]
fn every_reason_tells_the_operator_rule_numbers_and_setting() {
    for reason in every() {
        let text = reason.operator(&Limits::default());
        for part in must_say(&reason).0 {
            assert!(text.contains(part), "{}: {text:?} lacks {part:?}", reason.name());
        }
        assert!(text.is_ascii() && text.ends_with('.') && !text.contains("  "), "{text:?}");
    }
}

#[test]
fn a_user_limit_tells_which_number_is_too_high() {
    for reason in [user_limit(SentWithin::Day, 500), user_limit(SentWithin::NewRecipients, 400)] {
        let text = reason.operator(&Limits::default());
        for part in must_say(&reason).0 {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }
}

#[test]
fn only_refusals_tell_the_sender() {
    for reason in every() {
        assert_eq!(reason.sender_reply().is_some(), must_say(&reason).1, "{}", reason.name());
    }
}

/// Nothing told to strangers says who has the message, who failed, how often, or any number.
#[test]
fn what_the_sender_is_told_gives_nothing_away() {
    for (_, enhanced, text) in every().iter().filter_map(Reason::sender_reply) {
        assert!(["5.4.6", "5.0.0", "5.7.1"].contains(&enhanced));
        assert!(text.is_ascii() && text.len() < 100 && !text.contains(char::is_numeric), "{text}");
        for word in ["recipient", "mailbox", "deliver to", "already", "copy", "@"] {
            assert!(!text.to_lowercase().contains(word), "{text}");
        }
    }
    let reply = |r: Reason| r.sender_reply();
    assert_eq!(reply(Reason::FailedJustNow), reply(Reason::NoMoreLives { limit: 8 }));
}

#[test]
fn names_are_one_word_and_differ() {
    let mut names: Vec<_> = every().iter().map(Reason::name).collect();
    assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), every().len());
}

#[test]
fn a_retry_is_explained_as_one() {
    let text = Reason::CopyOfDelivered(copies(Class::Retry)).operator(&Limits::default());
    assert!(text.contains("rule retry") && text.contains("late or did not arrive"), "{text}");
}

#[test]
fn the_settings_in_force_are_the_ones_told() {
    let limits = Limits { failed_window_ms: 90_000, storm_rcpt_copies: 3, ..Limits::default() };
    assert!(Reason::FailedJustNow.operator(&limits).contains("90 s"));
    let text = Reason::CopyOfDelivered(copies(Class::Copies)).operator(&limits);
    assert!(text.contains("at least 3 for this recipient") && text.contains("opens at 3"), "{text}");
}

/// Of each class: how near what passed came to its threshold.
#[test]
fn what_passed_says_how_near_it_was() {
    let again =
        Again { arrivals: 2, other_way: true, marked: false, words: 44, sendings: 1, same_source: true };
    let reports = Reports { of_recipient: 7, sent: 3, of_message: 4, message_sent: 0, is_settled: true };
    let signs = Signs {
        again: Some(again),
        leaving: Some(Leaving { came_in: true, marked: false, addressed: 1, stands: true, had: false }),
        replies: Some(Replies { people: 50, replies: 9, authors: 4, list: false }),
        turns: Some(Turns { turns: 3, by_machines: 2 }),
        reports: Some(reports),
        ..Signs::default()
    };
    let near = signs.near(&Limits::default());
    for (sentence, parts) in near.iter().zip([
        ["rule resent", "arrival 2", "2 pass", "resent_arrivals"],
        ["rule reinjected", "came in before: yes", "To and Cc: 1", "2 are too many"],
        ["rule reply_all", "reply 9", "10 pass", "by 4 authors, and it takes 5"],
        ["rule auto_reply", "message 3", "4 pass", "last 2"],
        ["rule bounces", "report 4 of one message", "10 pass", "report 7 for this recipient"],
    ]) {
        assert!(parts.iter().all(|part| sentence.contains(part)), "{parts:?}: {sentence}");
    }
    assert!(near.len() == 5 && signs.has_numbers());
    let nothing = Signs { turns: Some(Turns { turns: 1, by_machines: 0 }), ..Signs::default() };
    assert!(nothing.near(&Limits::default()).is_empty() && !nothing.has_numbers());
}
