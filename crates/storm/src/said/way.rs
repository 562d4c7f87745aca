//! The way a message came, as far as it tells one server from another: the houses whose servers stamped it.

use memchr::memmem;
use quell_mail::header::fields;
use quell_mail::hop::{self, Hop, HopKind};
use quell_mail::message_id;
use xxhash_rust::xxh3::xxh3_64;

use crate::trace::names;

/// Houses kept of one way. Honest mail passes two to four.
const MAX_HOUSES: usize = 6;
/// Stamps that are looked at, from the newest down.
const MAX_STAMPS: usize = 64;

/// The houses that a message passed: the owners of the names of the servers that stamped it. Names that
/// only their own house knows say nothing: each of a firm's machines has another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Way {
    houses: [u32; MAX_HOUSES],
    count: u8,
    is_partial: bool,
}

impl Way {
    /// The house of the server or the domain `name`, if that tells one.
    pub fn house(name: &str) -> Option<u32> {
        let lower;
        let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        // The low half: 32 bits tell six houses from each other well enough.
        names::owner_known_outside(name).map(|owner| xxh3_64(owner.as_bytes()) as u32)
    }

    /// Adds the house of the server `name`, if that tells one.
    pub fn add(&mut self, name: &str) {
        Self::house(name).into_iter().for_each(|house| self.add_house(house));
    }

    fn add_house(&mut self, house: u32) {
        let count = usize::from(self.count);
        if self.houses[..count].contains(&house) {
            return;
        }
        match self.houses.get_mut(count) {
            Some(place) => (*place, self.count) = (house, self.count + 1),
            None => self.is_partial = true,
        }
    }

    /// The houses.
    pub fn houses(&self) -> &[u32] {
        &self.houses[..usize::from(self.count)]
    }

    /// Whether it passes a house that `first` did not pass, as far as that is known.
    pub fn leaves(&self, first: &Self) -> bool {
        self.leaves_by(first, |_| false)
    }

    /// The same without the houses that say nothing.
    pub fn leaves_by(&self, first: &Self, says_nothing: impl Fn(u32) -> bool) -> bool {
        let is_new = |house: &&u32| !first.houses().contains(house) && !says_nothing(**house);
        !first.is_partial && self.houses().iter().any(|house| is_new(&house))
    }
}

/// Marks of software that puts messages back into the stream. No message is suspected for one alone, only
/// where its content came before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mark {
    /// None.
    #[default]
    None,
    /// It begins in a pickup folder, and the right side of its Message-ID is known in its own house only. A
    /// shop's own server may write so, of its own mail.
    Weak,
    /// A pickup folder's line above a stamp of another house than the author's; a collector's line, and a stamp of another house above
    /// it; or it begins in a pickup folder and has a connector's address: it was taken from a mailbox.
    Strong,
}

/// The way of a message, and its mark.
pub(super) fn read(header: &[u8]) -> (Way, Mark) {
    let (mut way, mut marks) = (Way::default(), Marks { author: author_of(header), ..Marks::default() });
    let mut stamps = 0;
    for field in fields(header) {
        if field.is("received") {
            stamps += 1;
            if stamps <= MAX_STAMPS {
                marks.stamp(&hop::parse(field.value), &mut way);
            }
        } else if field.is("message-id") {
            marks.has_inner_id |= message_id::parse(field.value).is_some_and(|id| has_inner_domain(&id));
        } else if field.is("to") || field.is("cc") {
            marks.has_connector |= memmem::find(field.value, b"mspop3connector.").is_some();
        }
    }
    way.is_partial |= stamps > MAX_STAMPS;
    (way, marks.mark())
}

/// The house of the address in From.
fn author_of(header: &[u8]) -> Option<u32> {
    let from = fields(header).find(|field| field.is("from"))?;
    let address = names::address_in(&String::from_utf8_lossy(&from.value[..from.value.len().min(1_000)]))?;
    address.rsplit_once('@').and_then(|(_, domain)| Way::house(domain))
}

fn has_inner_domain(id: &str) -> bool {
    let right = id.trim_end_matches('>').rsplit_once('@').map(|(_, right)| right.to_ascii_lowercase());
    right.is_some_and(|right| names::is_inner(&right))
}

/// From the newest stamp to the oldest.
#[derive(Default)]
struct Marks {
    /// The houses that stamped above.
    above: Way,
    last_is_pickup: bool,
    put_back: bool,
    /// The house of the author, whose own folder is no mark.
    author: Option<u32>,
    has_inner_id: bool,
    has_connector: bool,
}

impl Marks {
    fn stamp(&mut self, hop: &Hop<'_>, way: &mut Way) {
        // A pickup line seen before this stamp stands above it. (Webmail puts what was written over HTTP
        // into its own pickup folder.)
        let by = hop.by.map(|by| by.lower());
        let house = by.as_deref().and_then(Way::house);
        let is_foreign = house.is_some() && house != self.author;
        self.put_back |= self.last_is_pickup && hop.kind == HopKind::Transfer && is_foreign;
        self.last_is_pickup = hop.kind == HopKind::Pickup;
        // A name that tells nothing has no house.
        let Some(house) = house else { return };
        if hop.kind == HopKind::Collected {
            let mut here = Way::default();
            here.add_house(house);
            self.put_back |= self.above.leaves(&here);
        }
        self.above.add_house(house);
        way.add_house(house);
    }

    fn mark(&self) -> Mark {
        // The last stamp that was read is the oldest.
        match self.last_is_pickup {
            _ if self.put_back => Mark::Strong,
            true if self.has_connector => Mark::Strong,
            true if self.has_inner_id => Mark::Weak,
            _ => Mark::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marked(header: &str) -> Mark {
        read(header.replace('\n', "\r\n").as_bytes()).1
    }

    const ISP: &str = "Received: from mail.firm.example (mail.firm.example [192.0.2.7]) by mx.telecom.example with ESMTP id A1; Sat, 10 Dec 2005 09:12:11 +0000\n";
    const PICKUP: &str = "Received: from mail pickup service by server.firm.local with Microsoft SMTPSVC; Sat, 10 Dec 2005 09:12:10 +0000\n";
    const POP: &str = "Received: from pop.telecom.example [192.0.2.9] by mail.firm.example with POP3 (fetchmail-6.2.5) for <jane@localhost> (single-drop); Sat, 10 Dec 2005 09:12:09 +0000\n";

    #[test]
    fn marks() {
        let inner = "Message-ID: <X1@server.firm.local>\n";
        let outer = "Message-ID: <X1@publisher.example>\n";
        let pickup_address = "To: \"IMB Recipient 1\" <mspop3connector.jane@firm.example>\n";
        for (header, wanted) in [
            (format!("{ISP}{ISP}{outer}"), Mark::None),
            (format!("{ISP}{PICKUP}{ISP}{outer}"), Mark::Strong),
            (format!("{ISP}{PICKUP}{outer}"), Mark::None),
            (format!("{ISP}{PICKUP}{inner}"), Mark::Weak),
            (format!("{PICKUP}{inner}"), Mark::Weak),
            (format!("{ISP}{inner}"), Mark::None),
            (format!("{ISP}{PICKUP}{outer}{pickup_address}"), Mark::Strong),
            (format!("{ISP}{outer}{pickup_address}"), Mark::None),
            (format!("{POP}{ISP}{outer}"), Mark::None),
            (
                format!("{}{POP}{ISP}{outer}", ISP.replace("telecom.example", "elsewhere.example")),
                Mark::Strong,
            ),
        ] {
            assert_eq!(marked(&header), wanted, "{header}");
        }
    }

    #[test]
    fn ways() {
        let way = |names: &[&str]| {
            let mut way = Way::default();
            names.iter().for_each(|name| way.add(name));
            way
        };
        let first = way(&["mx1.telecom.example", "out.publisher.example"]);
        assert!(!way(&["MX2.TELECOM.example", "other.publisher.example"]).leaves(&first));
        assert!(!way(&["server.firm.local", "localhost", "server"]).leaves(&first));
        assert!(!way(&[]).leaves(&first));
        assert!(way(&["mx1.telecom.example", "mail.solicitor.example"]).leaves(&first));
        let many: Vec<String> = (0..9).map(|n| format!("mx.house{n}.example")).collect();
        let many = way(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(many.leaves(&first) && !first.leaves(&many), "what is not known whole is not compared");
    }

    #[test]
    fn stamps_that_are_not_looked_at_may_be_of_any_house() {
        let way = |by: &str| read(format!("{by}{ISP}").replace('\n', "\r\n").as_bytes()).0;
        let first = way(&ISP.replace("telecom", "elsewhere").repeat(MAX_STAMPS));
        assert!(!way("").leaves(&first));
        assert!(first.leaves(&way("")));
    }

    proptest! {
        #[test]
        fn any_header_is_read(header: Vec<u8>, names in prop::collection::vec("\\PC{0,12}", 0..9)) {
            read(&header);
            let mut way = Way::default();
            names.iter().for_each(|name| way.add(name));
            prop_assert!(!way.leaves(&way));
        }
    }
}
