//! One order: from the account to the certificate (RFC 8555 §7.4).

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeHandle, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::task::block_in_place;

use super::answer::Pending;
use super::http::Https;
use super::keep::{Keep, KeptAccount};
use crate::config::{Acme, Challenge};
use crate::tls::Certificate;

/// What went wrong, for the operator.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The authority may take so long to look at our answers, and so long to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// Closes the challenges whatever becomes of the order.
struct Open<'a>(&'a Pending);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Gets a certificate for the names wanted, with a new key: both in PEM.
pub async fn obtain(wanted: &Acme, keep: &Keep, pending: &Pending) -> Result<String, Failure> {
    let mut order = match begin(wanted, keep, true).await {
        // One that was set up anew has forgotten us.
        Err(why) if is_unknown(&*why) => begin(wanted, keep, false).await?,
        order => order?,
    };
    let _open = Open(pending);
    answer_all(&mut order, wanted.challenge, pending).await?;
    // An order of names that were shown to be ours a while ago is ready at once.
    if order.state().status == OrderStatus::Pending {
        let ready = order.poll_ready(&PATIENCE).await;
        if !matches!(ready, Ok(OrderStatus::Ready)) {
            return Err(why_not(&mut order).await.unwrap_or_else(|| match ready {
                Ok(_) => "the authority has refused the order".into(),
                Err(why) => why.into(),
            }));
        }
    }
    let mut params = CertificateParams::new(wanted.names.clone())?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let key = key.serialize_pem();
    look_at(&chain, &key, &wanted.names)?;
    Ok(key + &chain)
}

/// An order of the account that is kept, if that is to count, or else of a new one.
async fn begin(wanted: &Acme, keep: &Keep, kept_counts: bool) -> Result<Order, Failure> {
    let account = account(wanted, keep, kept_counts).await?;
    let names: Vec<_> = wanted.names.iter().cloned().map(Identifier::Dns).collect();
    Ok(account.new_order(&NewOrder::new(&names)).await?)
}

/// The authority does not know the account (RFC 8555 §6.7).
fn is_unknown(why: &(dyn Error + Send + Sync + 'static)) -> bool {
    let unknown = Some("urn:ietf:params:acme:error:accountDoesNotExist");
    matches!(why.downcast_ref(), Some(instant_acme::Error::Api(said)) if said.r#type.as_deref() == unknown)
}

async fn account(wanted: &Acme, keep: &Keep, kept_counts: bool) -> Result<Account, Failure> {
    let contact = format!("mailto:{}", wanted.contact);
    let (kept, https) = (keep.account()?, block_in_place(|| Https::new(wanted.ca_file.as_deref()))?);
    let builder = Account::builder_with_http(Box::new(https));
    match kept.filter(|kept| kept_counts && kept.directory == wanted.directory) {
        Some(kept) if kept.contact == wanted.contact => {
            Ok(builder.from_credentials(kept.credentials).await?)
        }
        Some(kept) => {
            // The credentials are opaque, and cannot be copied but by their text.
            let credentials = serde_json::from_value(serde_json::to_value(&kept.credentials)?)?;
            let account = builder.from_credentials(credentials).await?;
            account.update_contacts(&[&contact]).await?;
            keep.store_account(&KeptAccount { contact: wanted.contact.clone(), ..kept })?;
            Ok(account)
        }
        None => {
            let new = NewAccount {
                contact: &[&contact],
                terms_of_service_agreed: true,
                only_return_existing: false,
            };
            let (account, credentials) = builder.create(&new, wanted.directory.clone(), None).await?;
            let (directory, contact) = (wanted.directory.clone(), wanted.contact.clone());
            keep.store_account(&KeptAccount { directory, contact, credentials })?;
            Ok(account)
        }
    }
}

/// Makes the answers, and says that they can be looked at.
async fn answer_all(order: &mut Order, challenge: Challenge, pending: &Pending) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next?;
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            other => {
                return Err(format!("the authority begins with an authorization that is {other:?}").into());
            }
        }
        let kind = match challenge {
            Challenge::Http01 => ChallengeType::Http01,
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        };
        let open = authorization.challenge(kind);
        let mut open = open.ok_or_else(|| format!("the authority does not offer {}", challenge.name()))?;
        answer(&open, challenge, pending)?;
        open.set_ready().await?;
    }
    Ok(())
}

fn answer(open: &ChallengeHandle<'_>, challenge: Challenge, pending: &Pending) -> Result<(), Failure> {
    let authorization = open.key_authorization();
    match (challenge, open.identifier().identifier) {
        (Challenge::Http01, _) => pending.add_http(&open.token, authorization.as_str()),
        (Challenge::TlsAlpn01, Identifier::Dns(name)) => {
            pending.add_tls(&name.to_ascii_lowercase(), authorization.digest().as_ref())?;
        }
        (Challenge::TlsAlpn01, _) => return Err("the authority asks for what is no host name".into()),
    }
    Ok(())
}

/// What the authority says of the names that it did not find to be ours.
async fn why_not(order: &mut Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let said = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(said) = said {
            return Some(format!("{name}: {said}").into());
        }
    }
    None
}

/// A certificate that is not what was asked for is not taken into use.
fn look_at(chain: &str, key: &str, names: &[String]) -> Result<(), Failure> {
    let (of_chain, of_key) = (Path::new("the authority's answer"), Path::new("its key"));
    let certificate = Certificate::parse((chain.as_bytes(), of_chain), (key.as_bytes(), of_key))?;
    match names.iter().find(|name| !certificate.leaf.is_for(name)) {
        Some(name) => Err(format!("the authority's certificate is not for {name}").into()),
        None => Ok(()),
    }
}
