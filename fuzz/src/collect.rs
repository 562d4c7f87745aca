//! Messages from mailboxes at providers.

use std::sync::Arc;

use quell_mail::id::QueueId;
use quell_mail::key::Secret;
use quell_queue::body::{LargeWriter, SpoolError};
use quell_queue::clock::Now;
use quell_relay::collect::{Account, Collecting, How, NotTaken, Server, Stamp, Whose};
use quell_relay::directory::{CannotTell, Directory, DomainPlan, Plan, Population};
use quell_relay::reception::{Asked, Memory, Policy, Refused, RefusedRecipient, World};

const NOW: i64 = 1_796_022_000_000;

struct Ground;

impl World for Ground {
    fn exists(&self, _: &str, _: &str) -> Result<bool, CannotTell> {
        Ok(false)
    }

    fn room(&self, _: Option<u64>) -> bool {
        true
    }

    fn now(&self) -> Now {
        Now { ms: NOW, wall_ms: NOW, mono_ms: 0, may_expire: true }
    }

    fn queue_id(&self, _: &Now) -> Option<QueueId> {
        Some(QueueId::new(1, 0, 1))
    }

    fn begin_large(&self) -> Result<LargeWriter, SpoolError> {
        Err(SpoolError::TooLarge { bytes: 2, limit: 1 })
    }

    fn refused(&self, _: Refused) {}

    fn recipient_refused(&self, _: &RefusedRecipient<'_>) {}
}

fn policy() -> Arc<Policy> {
    let domain = |name: &str, population| DomainPlan {
        name: name.to_owned(),
        maildir: population != Population::Asked,
        population,
        takes_others: false,
        catch_all: None,
    };
    let listed = Population::Listed(["jane".to_owned(), "boss".to_owned()].into());
    let plan = Plan {
        hostname: "mx.firm.example".to_owned(),
        domains: vec![domain("firm.example", listed), domain("ask.example", Population::Asked)],
        postmaster: Some("boss@firm.example".to_owned()),
        ..Plan::default()
    };
    Arc::new(Policy {
        hostname: "mx.firm.example".to_owned(),
        secret: Secret::new(1, [7; 32]),
        directory: Directory::new(&plan).unwrap_or_default(),
        max_header_bytes: 4 << 10,
        spill_bytes: 8 << 10,
        max_rows: 20,
        memory: Memory::new(1 << 20),
    })
}

/// Any message, however it is cut: only our own people get it, nobody outside is told of it, and a message that is read
/// twice has one digest. The first byte says how the account is configured, the second the size of pieces.
///
/// # Panics
/// Where one of these does not hold.
pub fn collect(bytes: &[u8]) {
    let [kind, cut, message @ ..] = bytes else { return };
    let field = [None, Some("delivered-to"), Some("envelope-to"), Some("x-to")][usize::from(kind % 4)];
    let stamp = Stamp {
        field: field.map(str::to_owned),
        hosts: vec!["mx.provider.example".to_owned()],
        prefix: if kind & 16 == 0 { String::new() } else { "mb-".to_owned() },
    };
    let whose = if kind & 8 == 0 {
        Whose::Stamped(stamp)
    } else {
        Whose::These(vec!["jane@firm.example".to_owned()])
    };
    let account = Arc::new(Account { name: "office".to_owned(), whose, unplaced: None });
    let whole = read(&account, message, usize::MAX);
    let cut = read(&account, message, usize::from(*cut) + 1);
    assert_eq!(whole.is_some(), cut.is_some(), "cut");
    let (Some(whole), Some(cut)) = (whole, cut) else { return };
    assert_eq!(whole, cut, "cut");
}

type Read = (Vec<String>, How, [u8; 16]);

fn read(account: &Arc<Account>, message: &[u8], cut: usize) -> Option<Read> {
    let mut collecting = Collecting::new(policy(), Arc::clone(account), &Ground);
    message.chunks(cut.max(1)).for_each(|piece| collecting.take(piece, &Ground));
    let mut placing = collecting.place(&Ground).ok()?;
    while placing.to_ask().is_some() {
        placing.asked(Asked::Exists).ok()?;
    }
    let placed = placing.placed().ok()?;
    let server = Server {
        host: "pop.provider.example".to_owned(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        tls: None,
        protocol: "POP3",
    };
    let how = placed.how;
    let collected = match collecting.finish(placed, &server, &Ground) {
        Ok(collected) => collected,
        Err(NotTaken::Never(_) | NotTaken::Now(_)) => return None,
    };
    let facts = collected.submission.facts();
    assert!(facts.reverse_path.is_empty() && facts.source.pickup.is_some() && !facts.source.inside);
    assert!(!facts.recipients.is_empty());
    for recipient in &facts.recipients {
        let ours = ["@firm.example", "@ask.example"].iter().any(|end| recipient.identity.ends_with(end));
        assert!(ours && recipient.is_ours, "{recipient:?}");
    }
    let names = facts.recipients.iter().map(|one| one.identity.clone()).collect();
    Some((names, how, collected.digest.bytes))
}
