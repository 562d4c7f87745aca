use super::*;
use proptest::prelude::*;

use quell_relay::directory::Population;

mod pickup;

const GOOD: &str = r#"
[server]
hostname = "mx.firm.example"
postmaster = "jane@firm.example"
[domains."firm.example"]
recipients = ["jane", "*"]
[domains."bücher.example"]
[aliases]
"info@firm.example" = ["jane@firm.example"]
"#;

fn parse(text: &str) -> Result<Config, Faults> {
    Config::parse(Path::new("/nowhere/quell.toml"), text, "machine.example")
}

#[test]
fn a_good_file_is_compiled() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.data, Path::new("/nowhere/quell-data"));
    assert_eq!(config.smtp_listen, ["127.0.0.1:2525".parse().unwrap()]);
    assert!(config.directory.is_ours("xn--bcher-kva.example"));
    assert!(config.is_inside("::ffff:127.0.0.1".parse().unwrap()));
    assert!(!config.is_inside("192.0.2.1".parse().unwrap()));
}

#[test]
fn an_empty_file_is_all_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.hostname, "machine.example");
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.warnings.len(), 1);
}

/// Text, key of the fault, and a word of its message or help.
#[test]
fn every_fault_names_its_key_and_what_to_do() {
    let cases = [
        ("[smtp]\nmax_size = 1", "smtp.max_size", "unknown field"),
        ("[smtp]\nmax_errors = \"x\"", "smtp.max_errors", "invalid type"),
        ("[smtp]\nmax_errors = 0", "smtp.max_errors", "from 1 to"),
        ("[smtp]\nlisten = [\"localhost\"]", "smtp.listen", "127.0.0.1:2525"),
        ("[smtp]\nlisten = []", "smtp.listen", "at least one"),
        ("[server]\nhostname = \"a b\"", "server.hostname", "full name"),
        ("[server]\npostmaster = \"x@other.example\"", "server.postmaster", "[domains]"),
        ("[relay]\nvia = \"10.0.0.2\"", "relay.via", "smtp://10.0.0.2:25"),
        ("[relay]\nvia = \"maildir\"", "relay.via", "no mailboxes"),
        ("[relay]\nvia = \"smtp://127.0.0.1:2525\"", "relay.via", "leads back to this server"),
        ("[relay]\neightbit = \"no\"", "relay.eightbit", "\"bounce\""),
        ("[relay]\nport = 0", "relay.port", "from 1 to 65535"),
        ("[dns]\nservers = [\"localhost\"]", "dns.servers", "is no IP address"),
        ("[server]\nstop_secs = 3601", "server.stop_secs", "from 0 to 3600"),
        ("[relay]\nfrom = [\"10.1.0.0/8\"]", "relay.from", "10.0.0.0/8"),
        (
            "[domains.\"f.example\"]\ndeliver = \"imap://127.0.0.1:24\"",
            "domains.\"f.example\".deliver",
            "lmtp:///run/dovecot/lmtp",
        ),
        (
            "[smtp]\nlisten = [\"[::]:25\"]\n[domains.\"f.example\"]\ndeliver = \"smtp://localhost\"",
            "domains.\"f.example\".deliver",
            "leads back to this server",
        ),
        ("[domains.\"f.example\"]\nrecipients = \"ask\"", "domains.\"f.example\".recipients", "no next hop"),
        (
            "[domains.\"f.example\"]\ndeliver = \"smtp://10.0.0.2\"\nrecipients = [\"*\"]\ncatch_all = \"a\"",
            "domains.\"f.example\".catch_all",
            "[aliases]",
        ),
        ("[domains.\"f.example\"]\nrecipients = \"jane\"", "domains.\"f.example\".recipients", "file:PATH"),
        (
            "[domains.\"f.example\"]\nrecipients = \"file:none\"",
            "domains.\"f.example\".recipients",
            "cannot be read",
        ),
        (
            "[domains.\"f.example\"]\nrecipients = [\"a@b\"]",
            "domains.\"f.example\".recipients",
            "before the @",
        ),
        ("[domains.\"f.example\"]\ncatch_all = \"a\"", "domains.\"f.example\".catch_all", "\"*\""),
        ("[domains.\"f_.. example\"]", "domains.\"f_.. example\"", "not a domain"),
        ("[tell]\nmail = \"jane\"", "tell.mail", "write an address"),
        (
            "[tell]\nmail = \"a@f.example\"\n[domains.\"f.example\"]\nrecipients = []",
            "tell.mail",
            "`recipients`",
        ),
        ("[log]\nformat = \"xml\"", "log.format", "json"),
        ("[judge]\nclosed_after_secs = 120", "judge.closed_after_secs", "quiet_after_secs"),
        (
            "[domains.\"f.example\"]\n[aliases]\n\"a@f.example\" = [\"a@f.example\"]",
            "aliases.\"a@f.example\"",
            "circle",
        ),
    ];
    each_is_named(&cases);
}

#[test]
fn what_is_wanted_of_all_others_takes_nothing_from_implicit_tls() {
    let text = format!("{GOOD}[relay]\nvia = \"smtps://b.example\"\n[next_hops.\"*\"]\ntls = \"never\"\n");
    assert!(parse(&text).is_ok());
}

/// What newcomers write.
#[test]
fn likely_mistakes_are_answered_with_what_was_meant() {
    let cases = [
        ("[relay]\nvai = \"x\"", "relay.vai", "did you mean `via`?"),
        ("[relay]\nvia = \"smtpss://10.0.0.2\"", "relay.via", "smtps://, lmtp:// or lmtps://"),
        ("[next_hops.\"a b\"]", "next_hops.a b", "names no next hop"),
        ("[next_hops.\"b.example\"]\ntls = \"yes\"", "next_hops.\"b.example\".tls", "\"encrypt\""),
        ("[next_hops.\"b.example\"]\nname = \"a b\"", "next_hops.\"b.example\".name", "host name"),
        (
            "[next_hops.\"b.example\"]\nca_file = \"none.pem\"",
            "next_hops.\"b.example\".ca_file",
            "cannot be read",
        ),
        (
            "[next_hops.\"b.example\"]\ncertificate = \"a\"",
            "next_hops.\"b.example\".certificate",
            "without its key",
        ),
        ("[next_hops.\"b.example\"]\nkey = \"a\"", "next_hops.\"b.example\".key", "without its certificate"),
        ("[next_hops.\"/run/lmtp\"]\ntls = \"require\"", "next_hops./run/lmtp.tls", "as `name`"),
        (
            "[next_hops.\"B.example\"]\n[next_hops.\"b.example\"]",
            "next_hops.\"b.example\"",
            "stands here twice",
        ),
        (
            "[relay]\nvia = \"smtps://b.example\"\n[next_hops.\"b.example\"]\ntls = \"never\"",
            "next_hops.\"b.example\".tls",
            "is TLS from its first byte on",
        ),
        ("[dns]\ntrust_anchor = \"x\"", "dns.trust_anchor", "signatures are not checked"),
        ("[dns]\ndnssec = true\ntrust_anchor = \"none\"", "dns.trust_anchor", "cannot be read"),
        ("[relay]\nvia = \"10.0.0.2\"", "relay.via", ": it must begin with smtp://"),
        ("[domains.firm.example]\nrecipients = []", "domains.firm.example", "[domains.\"firm.example\"]"),
        (
            "[domains.\"f.example\"]\ndeliver = \"smtp://10.0.0.2\"\nrecipients = [\"ask\"]",
            "domains.\"f.example\".recipients",
            "write recipients = \"ask\"",
        ),
    ];
    each_is_named(&cases);
}

fn each_is_named(cases: &[(&str, &str, &str)]) {
    for (text, key, word) in cases {
        let faults = parse(text).unwrap_err();
        assert_eq!(faults.problems[0].key, *key, "{text}");
        assert!(faults.to_string().contains(word), "{text}\n{faults}");
        assert!(faults.position(&faults.problems[0]).is_some(), "{text}");
    }
}

#[test]
fn a_password_is_not_printed() {
    for text in [
        "[relay]\nvia = \"smtp://me:se@cret@10.0.0.3\"",
        "[relay]\nvia = \"x://me:se@cret@h\" # x",
        "[relay]\nvia = \"me:se@cret@10.0.0.3\"",
    ] {
        let shown = parse(text).unwrap_err().to_string();
        assert!(shown.contains("sign-in is not supported yet") && !shown.contains("cret"), "{shown}");
    }
}

#[test]
fn what_stands_twice_is_named() {
    let twice = parse("[relay]\nport = 26\n\n[dns]\n[relay]\nport = 27\n").unwrap_err().to_string();
    assert!(twice.contains("this table stands at line 1 already: change it there"), "{twice}");
    let twice = parse("[smtp]\nidle_secs = 1\n[relay]\nport = 26\nport = 27\n").unwrap_err().to_string();
    assert!(twice.contains("this key stands at line 4 already: change it there"), "{twice}");
}

#[test]
fn a_dns_server_without_a_port_has_port_53() {
    let config = parse("[dns]\nservers = [\"9.9.9.9\", \"[::1]\", \"::1\", \"127.0.0.1:5353\"]").unwrap();
    let servers: Vec<_> = config.outgoing.dns_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["9.9.9.9:53", "[::1]:53", "[::1]:53", "127.0.0.1:5353"]);
}

#[test]
fn a_next_hop_that_takes_every_address_is_warned_of() {
    let warnings = |text: &str| parse(text).unwrap().warnings;
    let hop = "[domains.\"f.example\"]\ndeliver = \"smtp://10.0.0.2\"\n";
    let found = warnings(&format!("{hop}recipients = [\"*\"]"));
    assert!(found.len() == 1 && found[0].contains("gets a report later"), "{found:?}");
    assert_eq!(warnings(hop), [""; 0]);
    assert_eq!(warnings("[domains.\"f.example\"]\nrecipients = [\"*\"]"), [""; 0]);
}

#[test]
fn all_faults_come_at_once_drawn_with_their_lines() {
    let text = "[smtp]\nlisten = [\"127.0.0.1:25\", \"nowhere\"]\nmax_errors = 0\n[log]\nlevel = \"loud\"\n";
    let faults = parse(text).unwrap_err();
    assert_eq!(faults.problems.len(), 3);
    let drawn = faults.to_string();
    let first = "/nowhere/quell.toml:2:27: smtp.listen: \"nowhere\" is no address with a port\n   |\n 2 | listen = [\"127.0.0.1:25\", \"nowhere\"]\n   |                           ^^^^^^^^^\n  help: ";
    assert!(drawn.starts_with(first), "{drawn}");
}

#[test]
fn a_public_listener_needs_private_relay_ranges() {
    let relay = |listen: &str, from: &str, allow: bool| {
        parse(&format!(
            "[smtp]\nlisten = [\"{listen}\"]\n[relay]\nfrom = [\"{from}\"]\nallow_wide_relay = {allow}"
        ))
        .is_ok()
    };
    assert!(!relay("0.0.0.0:25", "0.0.0.0/0", false));
    assert!(!relay("[::]:25", "192.0.2.0/24", false));
    assert!(relay("[::]:25", "192.0.2.0/24", true));
    assert!(relay("0.0.0.0:25", "10.0.0.0/8", false));
    assert!(relay("127.0.0.1:25", "0.0.0.0/0", false));
}

#[test]
fn the_first_domain_is_the_first_in_the_file() {
    let config = parse("[domains.\"z.example\"]\n[domains.\"a.example\"]").unwrap();
    assert_eq!(config.directory.postmaster()[0].identity, "postmaster@z.example");
}

#[test]
fn a_reload_names_each_key_and_what_needs_a_restart() {
    let old = parse(GOOD).unwrap();
    let text = format!("{GOOD}\n[smtp]\nlisten = [\"127.0.0.1:26\"]\nmax_errors = 7\n");
    let new = parse(&text).unwrap();
    let change = |key: &str, needs_restart| Change { key: key.to_owned(), needs_restart };
    let want = [change("smtp.listen", true), change("smtp.max_errors", false)];
    assert_eq!(Config::diff(&old, &new), want);
    assert_eq!(Config::diff(&old, &old), []);
    let text = format!("{GOOD}\n[relay]\nvia = \"smtp://10.0.0.2\"\n")
        .replace("recipients = [\"jane\", \"*\"]", "deliver = \"lmtp://127.0.0.1\"");
    let want = [
        change("domains.firm.example.deliver", false),
        change("domains.firm.example.recipients", false),
        change("relay.via", false),
    ];
    assert_eq!(Config::diff(&old, &parse(&text).unwrap()), want);
}

#[test]
fn what_goes_out_and_how() {
    let text = "[smtp]\nlisten = [\"10.0.0.1:25\"]\n[relay]\nvia = \"smtp://Smart.example\"\neightbit = \"bounce\"\n\
                [tell]\nmail = \"boss@elsewhere.example\"\n[domains.\"b.example\"]\ndeliver = \"lmtp:///run/lmtp\"\n\
                [domains.\"a.example\"]\n[domains.\"c.example\"]\ndeliver = \"smtp://10.0.0.1:26\"\nrecipients = [\"*\"]\n";
    let config = parse(text).unwrap();
    let of = |address: &str| config.routes.of(address).to_string();
    assert_eq!(of("x@a.example"), "maildir");
    assert_eq!(of("x@b.example"), "lmtp:///run/lmtp");
    assert_eq!(of("x@c.example"), "smtp://10.0.0.1:26");
    assert_eq!(of("x@other.example"), "smtp://smart.example:25");
    let asked = |name: &str| config.directory.domain(name).unwrap().population == Population::Asked;
    assert!(asked("b.example") && !asked("a.example") && !asked("c.example"));
    assert!(config.outgoing.eightbit_bounces);
    assert_eq!((config.outgoing.port, config.outgoing.stop_within.as_secs()), (25, 60));
    let plain = parse("").unwrap();
    assert_eq!(plain.routes.of("x@other.example").to_string(), "other.example");
}

#[test]
fn what_protects_connections_on_their_way_out() {
    let folder = std::env::temp_dir().join(format!("quell-next-hops-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let authority = crate::tls::testing::Authority::new();
    let (_, key) = authority.issue(&folder, &["client.example"], (-1, 1));
    std::fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
    let text = "[relay]\nvia = \"smtps://Smart.example\"\nmta_sts = false\n[next_hops.\"*\"]\ntls = \"encrypt\"\n\
                [next_hops.\"Smart.example\"]\nca_file = \"ca.pem\"\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n\
                [next_hops.\"::1\"]\ntls = \"require\"\nname = \"Box.example\"\n";
    let read = |text: &str| Config::parse(&folder.join("quell.toml"), text, "m.example");
    let mode = |mode| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (bits, good) in [(0o600, true), (0o640, true), (0o660, false), (0o644, false)] {
        mode(bits);
        let faults = read(text).err().map(|faults| faults.to_string());
        assert_eq!(faults.is_none(), good, "{bits:o} {faults:?}");
        assert!(faults.is_none_or(|faults| faults.contains("others can read the key")));
    }
    mode(0o600);
    let config = read(text).unwrap();
    let rules = config.outgoing.rules();
    let via = config.routes.via.clone().unwrap();
    assert_eq!(
        (via.to_string().as_str(), rules.of(&via).name.as_str()),
        ("smtps://smart.example:465", "smart.example")
    );
    let own = &config.outgoing.next_hops.iter().find(|one| one.rule.name == "smart.example").unwrap();
    assert!(own.identity.is_some() && own.authorities.is_some() && own.rule.level.is_none());
    let of = |text: &str| rules.of(&quell_relay::route::NextHop::parse(text).unwrap()).clone();
    assert_eq!(of("smtp://[::1]:25").certificate_name.as_deref(), Some("box.example"));
    assert_eq!(of("smtp://10.0.0.1:25").level, Some(quell_relay::tls::Level::Encrypt));
    // What a file holds counts as the value of its key.
    std::fs::write(folder.join("ca.pem"), crate::tls::testing::Authority::new().pem).unwrap();
    let changes = Config::diff(&config, &read(text).unwrap());
    assert_eq!(changes, [Change { key: "next_hops.smart.example.ca_file".to_owned(), needs_restart: false }]);
    std::fs::write(folder.join("ca.pem"), "nothing").unwrap();
    assert!(read(text).unwrap_err().to_string().contains("there is no certificate in it"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn next_hops_that_lead_back_are_found() {
    let good = |listen: &str, via: &str| {
        let text = format!(
            "[server]\nhostname = \"mx.f.example\"\n[smtp]\nlisten = [\"{listen}\"]\n[relay]\nvia = \"{via}\""
        );
        parse(&text).is_ok()
    };
    for (listen, via) in [
        ("127.0.0.1:25", "smtp://127.0.0.1"),
        ("127.0.0.1:25", "smtp://0.0.0.0"),
        ("127.0.0.1:25", "smtp://LOCALHOST:25"),
        ("127.0.0.1:24", "lmtp://127.0.0.1"),
        ("10.0.0.1:25", "smtp://mx.F.example"),
        ("10.0.0.1:25", "smtp://[::ffff:10.0.0.1]"),
        ("[::]:25", "smtp://127.0.0.1"),
        ("0.0.0.0:25", "smtp://127.9.9.9"),
    ] {
        assert!(!good(listen, via), "{listen} {via}");
    }
    for (listen, via) in [
        ("127.0.0.1:25", "smtp://127.0.0.1:26"),
        ("127.0.0.1:25", "smtp://127.0.0.2"),
        ("127.0.0.1:2525", "smtp://mx.f.example"),
        ("0.0.0.0:25", "smtp://10.0.0.2"),
    ] {
        assert!(good(listen, via), "{listen} {via}");
    }
}

#[test]
fn recipients_in_a_file() {
    let folder = std::env::temp_dir().join(format!("quell-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("people"), "# us\nJane\nbob # him\n\n").unwrap();
    let text = "[domains.\"f.example\"]\nrecipients = \"file:people\"";
    let config = Config::parse(&folder.join("quell.toml"), text, "m.example").unwrap();
    let named = config.directory.named_mailboxes();
    let named: Vec<_> = named.iter().map(|r| r.mailbox.as_str()).collect();
    assert_eq!(named, ["bob", "jane", "postmaster"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

proptest! {
    #[test]
    fn never_panics(text in "(\\[(smtp|domains\\.\"x\"|aliases|relay)\\]|\n|([a-z_]{1,9}|deliver|via|recipients) = |\"(smtp|lmtp)://[a-z0-9.:/]{0,9}\"|\"[a-z@.*]{0,9}\"|\\[|\\]|,|1|ü){0,30}") {
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }
}

/// What excepts nobody, though somebody meant somebody, is refused; what excepts nearly everybody is taken,
/// and said.
#[test]
fn exceptions_that_cannot_be_meant_are_refused_or_warned_of() {
    let with = |line: &str| parse(&format!("[domains.\"firm.example\"]\n[exceptions]\n{line}\n"));
    for (line, help) in [
        ("senders = [\"*@erp.example\"]", "write \"@erp.example\""),
        ("senders = [\"*\"]", "write an address"),
        ("senders = [\"*@*\"]", "there are no patterns"),
        ("senders = [\"news*@erp.example\"]", "there are no patterns"),
        ("senders = [\"erp.example\"]", "write an address"),
        ("senders = [\"Ann <ann@erp.example>\"]", "write an address"),
        ("senders = [\"a@b.example,c@d.example\"]", "write an address"),
        ("senders = [\"@\"]", "write an address"),
        ("lists = [\"*.erp.example\"]", "there are no patterns"),
        ("lists = [\"<staff.firm.example>\"]", "between < and >"),
        ("hosts = [\"192.0.2.*\"]", "192.0.2.0/24"),
        ("hosts = [\"erp.example\"]", "192.0.2.0/24"),
    ] {
        let faults = with(line).unwrap_err();
        assert_eq!(faults.problems.len(), 1, "{line}: {faults}");
        let problem = &faults.problems[0];
        assert!(problem.key.starts_with("exceptions.") && problem.help.contains(help), "{line}: {faults}");
        assert_eq!(faults.position(problem).map(|at| at.0), Some(3), "{line}: {faults}");
    }
    for (line, warned) in [
        ("hosts = [\"0.0.0.0/0\"]", Some("hosts: \"0.0.0.0/0\" is nearly everybody")),
        ("hosts = [\"2000::/3\"]", Some("nearly everybody")),
        ("senders = [\"@FIRM.example\"]", Some("a domain of ours")),
        ("lists = [\"staff@firm.example\"]", Some("such as \"staff.firm.example\"")),
        (
            "senders = [\"@erp.example\", \"jane@firm.example\"]\nlists = [\"staff.firm.example\"]\nhosts = [\"10.0.0.0/8\"]",
            None,
        ),
    ] {
        let warnings = with(line).unwrap().warnings;
        assert_eq!(warnings.len(), usize::from(warned.is_some()), "{line}: {warnings:?}");
        assert!(warned.is_none_or(|part| warnings[0].contains(part)), "{line}: {warnings:?}");
    }
}

#[test]
fn no_port_is_listened_on_twice() {
    let smtp = "[smtp]\nlisten = [\"127.0.0.1:25\", \"[::]:25\", \"0.0.0.0:2525\"]\n";
    for (more, said) in [
        (
            "[console]\nlisten = \"127.0.0.1:2525\"\n",
            "127.0.0.1:2525 is listened on already: 0.0.0.0:2525 by `listen` in [smtp]",
        ),
        ("[console]\nlisten = \"[::1]:25\"\n", "[::1]:25 is listened on already: [::]:25"),
    ] {
        let faults = parse(&format!("{smtp}{more}")).unwrap_err().to_string();
        assert!(faults.contains(said) && faults.contains("console.listen"), "{faults}");
    }
    parse(&format!("{smtp}[console]\nlisten = \"[::1]:2525\"\n")).unwrap();
}

#[test]
fn tables_of_next_hops_without_effect_are_warned_of() {
    let domain = "[domains.\"firm.example\"]\nrecipients = [\"jane\"]\n[next_hops.\"firm.example\"]\ntls = \"require\"\n";
    let via = "[relay]\nvia = \"smtp://127.0.0.2:26\"\n[next_hops.\"ext.example\"]\ntls = \"require\"\n\
               [next_hops.\"127.0.0.2\"]\ntls = \"encrypt\"\n";
    for (text, said) in [
        (domain, "[next_hops.\"firm.example\"] has no effect: mail for firm.example goes to"),
        (
            via,
            "[next_hops.\"ext.example\"] has no effect: mail for other domains goes to smtp://127.0.0.2:26",
        ),
    ] {
        let warnings = parse(text).unwrap().warnings;
        assert_eq!(
            warnings.iter().filter(|warning| warning.contains("no effect")).count(),
            1,
            "{warnings:?}"
        );
        assert!(warnings.iter().any(|warning| warning.contains(said)), "{warnings:?}");
    }
}
