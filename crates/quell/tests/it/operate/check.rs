//! `quell check`: names as the DNS has them, and who reaches what.

use std::process::Command;

use crate::support::TempDir;
use crate::support::peers::dns::Dns;
use crate::support::tls::Files;

const ZONE: &str = "mx.firm.example A 192.0.2.1
mx.firm.example AAAA 2001:db8::1
1.2.0.192.in-addr.arpa PTR mx.firm.example.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR dsl-7.provider.example.
firm.example MX 10 mx.firm.example.
alias.example MX 10 other-name.example.
other-name.example A 192.0.2.1
elsewhere.example MX 10 mx.provider.example.
mx.provider.example A 192.0.2.9
closed.example MX 0 .
none.example A 192.0.2.1
";

fn check(directory: &TempDir, text: &str, more: &[&str]) -> String {
    let file = directory.join("quell.toml");
    std::fs::write(&file, text).expect("a configuration");
    let mut quell = Command::new(env!("CARGO_BIN_EXE_quell"));
    let output = quell.arg("check").arg(&file).args(more).output().expect("quell");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn public(dns: u16, listen: &str) -> String {
    let domains = ["firm", "alias", "elsewhere", "closed", "none"];
    let domains: String =
        domains.iter().map(|d| format!("[domains.\"{d}.example\"]\nrecipients = [\"jane\"]\n")).collect();
    format!(
        "[server]\nhostname = \"mx.firm.example\"\npostmaster = \"jane@firm.example\"\n[smtp]\nlisten = [\"{listen}\"]\n\
         [dns]\nservers = [\"127.0.0.1:{dns}\"]\n{domains}"
    )
}

#[test]
fn the_dns_is_looked_at_where_the_server_can_be_reached_from_outside() {
    let directory = TempDir::new("check-dns");
    let dns = Dns::start(ZONE);
    let said = check(&directory, &public(dns.port, "0.0.0.0:25"), &[]);
    for line in [
        "mx.firm.example is 192.0.2.1, and its PTR record leads back\n",
        "warning: 2001:db8::1, the address of mx.firm.example, is called dsl-7.provider.example in its PTR record",
        "mail for firm.example is sent to mx.firm.example by its MX records\n",
        "mail for alias.example is sent to other-name.example by its MX records\n",
        "warning: mail for elsewhere.example is sent to mx.provider.example by its MX records, and none of them is this server",
        "warning: closed.example says in its MX record that it takes no mail",
        "warning: none.example has no MX record: add one that names mx.firm.example",
        "warning: mail comes in unprotected at 0.0.0.0:25",
        "reachable: SMTP at 0.0.0.0:25, by everybody who reaches this machine: mail for our domains from everybody, for others from 127.0.0.0/8, ::1/128 only\n",
        "reachable: the console at 127.0.0.1:8025, by this machine only",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    let asked = dns.questions().len();
    for (text, more) in
        [(public(dns.port, "0.0.0.0:25"), &["--no-dns"][..]), (public(dns.port, "127.0.0.1:25"), &[])]
    {
        assert!(!check(&directory, &text, more).contains("PTR"));
    }
    assert_eq!(dns.questions().len(), asked);
}

#[test]
fn a_dns_that_does_not_answer_keeps_nobody_waiting() {
    let directory = TempDir::new("check-silent");
    let said = check(&directory, &public(9, "0.0.0.0:25"), &[]);
    let told = [
        "warning: the addresses of mx.firm.example could not be looked up",
        "warning: the DNS did not answer",
    ];
    assert!(told.iter().any(|line| said.contains(line)), "{said}");
}

#[test]
fn faults_of_the_certificate_have_a_line_and_a_remedy() {
    let directory = TempDir::new("check-tls");
    let files = Files::make(&directory);
    let swapped = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", files.chain, files.ca);
    for (text, said) in [
        ("[tls]\ncertificate = \"none.pem\"\nkey = \"none.pem\"\n".to_owned(), "none.pem: cannot be read"),
        ("[tls]\nkey = \"key.pem\"\n".to_owned(), "a key without its certificate"),
        ("[smtp]\nrequire_tls = true\n".to_owned(), "there is no certificate: no mail could be taken"),
        ("[smtp]\nlisten_tls = [\"127.0.0.1:465\"]\n".to_owned(), "there is no certificate"),
        ("[console]\ntls = true\n".to_owned(), "there is no certificate"),
        (swapped, "there is no private key in it"),
    ] {
        let found = check(&directory, &text, &[]);
        assert!(found.contains(said) && found.contains("quell.toml:"), "{said}\n{found}");
    }
    let settings = files.settings()
        + "[server]\nhostname = \"other.firm.example\"\n[console]\nlisten = \"10.0.0.1:8025\"\n";
    let found = check(&directory, &settings, &[]);
    assert!(found.contains("warning: the certificate is not for other.firm.example"), "{found}");
    assert!(
        found.contains("warning: the console at 10.0.0.1:8025 can be reached from other machines"),
        "{found}"
    );
}
