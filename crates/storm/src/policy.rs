//! What the operator wants done with mail that a class suspects.

use crate::verdict::Class;

/// What happens with a message over a class's threshold (`[policy]` in the configuration).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// It passes, and the storm is told.
    Tell,
    /// It is kept for a person.
    Hold,
    /// It is refused.
    Refuse,
}

impl Policy {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Tell, Self::Hold, Self::Refuse];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tell => "tell",
            Self::Hold => "hold",
            Self::Refuse => "refuse",
        }
    }

    /// The policy of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// The policies of the classes that suspect. `copies`, `retry` and `loop` have none: what they do is a
/// promise (nobody gets a message twice).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policies {
    /// Of [`Class::Resent`].
    pub resent: Policy,
    /// Of [`Class::Reinjected`].
    pub reinjected: Policy,
    /// Of [`Class::ReplyAll`].
    pub reply_all: Policy,
    /// Of [`Class::AutoReply`].
    pub auto_reply: Policy,
    /// Of [`Class::Bounces`].
    pub bounces: Policy,
    /// Of [`Class::Flood`].
    pub flood: Policy,
    /// Of [`Class::UserLimit`].
    pub user_limit: Policy,
}

impl Default for Policies {
    fn default() -> Self {
        let hold = Policy::Hold;
        Self {
            resent: hold,
            reinjected: hold,
            reply_all: hold,
            auto_reply: hold,
            bounces: hold,
            flood: Policy::Tell,
            user_limit: hold,
        }
    }
}

impl Policies {
    /// That of a class; of one that has none it is never asked.
    pub fn of(&self, class: Class) -> Policy {
        match class {
            Class::Resent => self.resent,
            Class::Reinjected => self.reinjected,
            Class::ReplyAll => self.reply_all,
            Class::AutoReply => self.auto_reply,
            Class::Bounces => self.bounces,
            Class::Flood => self.flood,
            Class::UserLimit => self.user_limit,
            Class::New | Class::Copies | Class::Retry | Class::Loop => Policy::Tell,
        }
    }
}
