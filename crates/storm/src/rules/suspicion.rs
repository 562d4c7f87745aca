//! The classes that look at what else came lately, one after the other, and what the operator wants done
//! with what they suspect.

use super::{Case, auto_reply, bounces, exempt, flood, reinjected, reply_all, resent, user_limit};
use crate::exceptions::LetPass;
use crate::policy::Policy;
use crate::signs::Suspicion;
use crate::verdict::{Class, Reason, Verdict};

/// A message that would pass, as the classes see it. They are asked only of what is new to the recipient:
/// a row that begins another life has been judged.
pub(crate) fn judge(case: &Case<'_>, reason: Reason) -> Verdict {
    let is_new = matches!(
        reason,
        Reason::FirstArrival | Reason::NoExactKey | Reason::TokenWithoutRow | Reason::OtherSourceThanHeld
    );
    match suspicion(case).filter(|_| is_new) {
        Some((suspicion, None)) => carry_out(case, suspicion),
        Some((suspicion, Some(by))) => Verdict::Pass(case.permit(), Reason::Excepted(suspicion, by)),
        None => Verdict::Pass(case.permit(), reason),
    }
}

/// The first class that suspects it, the surest first; where all that do are to let it pass, the first of these
/// and why. Our own mail is bounded where it is made, and no class holds it; what the operator excepted passes.
fn suspicion(case: &Case<'_>) -> Option<(Suspicion, Option<LetPass>)> {
    case.facts.source.address?;
    let rules = [
        reinjected::suspects,
        resent::suspects,
        auto_reply::suspects,
        bounces::suspects,
        reply_all::suspects,
        user_limit::suspects,
        flood::suspects,
    ];
    let mut let_pass = None;
    for found in rules.into_iter().filter_map(|rule| rule(case)) {
        let class = found.class();
        let is_released = case.signs.released.has(class) || case.row.is_some_and(|row| exempt(row, class));
        match case.excepted.or(is_released.then_some(LetPass::Released)) {
            None => return Some((found, None)),
            by => let_pass = let_pass.or(Some((found, by))),
        }
    }
    let_pass
}

fn carry_out(case: &Case<'_>, suspicion: Suspicion) -> Verdict {
    let class = suspicion.class();
    let policy = match case.limits.policies.of(class) {
        // A refusal would tell a stranger who guesses a text that the recipient has it.
        Policy::Refuse if class == Class::Resent && !case.facts.source.inside => Policy::Hold,
        policy => policy,
    };
    let reason = Reason::Suspect(suspicion, policy);
    match policy {
        Policy::Tell => Verdict::Pass(case.permit(), reason),
        Policy::Hold => Verdict::Hold(case.permit(), reason),
        Policy::Refuse => Verdict::Refuse(reason),
    }
}
