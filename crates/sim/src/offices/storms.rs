//! Storms: of each kind, one.

mod auto_reply;
mod bounces;
mod flood;
mod reply_all;
mod resent;

use super::office::Office;
use super::{StormKind, Truth};

/// What a storm's messages are.
fn part(office: &Office, kind: StormKind, may_pass: Option<u32>) -> Truth {
    Truth::Storm { kind, storm: office.storms, may_pass }
}

/// Lets one begin on this day.
pub(super) fn begin(office: &mut Office, kind: StormKind, day: i64) {
    let ms = office.hours.moment(day, &mut office.dice);
    match kind {
        StormKind::Resent | StormKind::ResentUnmarked | StormKind::ResentTrace => {
            resent::by_others(office, kind, ms)
        }
        StormKind::Reinjected | StormKind::ReinjectedSingly => resent::by_us(office, kind, ms),
        StormKind::ReplyAll12 => reply_all::storm(office, kind, 12, ms),
        StormKind::ReplyAll50 => reply_all::storm(office, kind, 50, ms),
        StormKind::ReplyAll200 => reply_all::storm(office, kind, 200, ms),
        StormKind::AutoReply | StormKind::AutoReplyPlain => auto_reply::absent(office, kind, ms),
        StormKind::AutoReplyDesks => auto_reply::desks(office, kind, ms),
        StormKind::BouncesOfAddress => bounces::of_address(office, ms),
        StormKind::BouncesOfMessage => bounces::of_message(office, ms),
        StormKind::Flood => flood::storm(office, ms),
    }
}
