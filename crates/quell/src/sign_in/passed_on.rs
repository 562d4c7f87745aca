//! A mechanism that Dovecot speaks with the client itself: its messages are passed on both ways.

use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::dovecot::{Exchange, Step, Trouble};
use super::guard::Attempt;
use super::{Client, SignIn, Verdict};

/// Messages of one exchange; SCRAM has two, and no mechanism that we offer has more than four.
const MAX_MESSAGES: u32 = 8;

/// Where the exchange stands.
pub enum Turn {
    /// 334: the client must answer this, by [`PassedOn::answer`].
    Challenge(Vec<u8>),
    /// It is over.
    Over(Verdict),
}

/// An exchange that goes on. Dropping it ends it, as a failure.
pub struct PassedOn {
    to: Sender<Vec<u8>>,
    from: Receiver<Turn>,
}

impl SignIn {
    /// Begins to pass on an exchange. `name`: whom it is about, as far as the first message says.
    pub async fn pass_on(
        self: &Arc<Self>,
        client: &Client,
        mechanism: &'static str,
        name: &str,
        initial: Option<Vec<u8>>,
    ) -> (Turn, Option<PassedOn>) {
        let mut attempt = match self.admit(client.remote, name).await {
            Ok(attempt) => attempt,
            Err(verdict) => return (Turn::Over(verdict), None),
        };
        attempt.begin();
        let ((to, answers), (turns, from)) = (channel(1), channel(1));
        let (sign_in, client) = (Arc::clone(self), *client);
        // It ends when the client's side is dropped, or by a time limit of Dovecot's.
        tokio::spawn(async move {
            sign_in.talk(client, mechanism, initial, attempt, (answers, turns)).await;
        });
        let mut passed = PassedOn { to, from };
        match passed.turn().await {
            over @ Turn::Over(_) => (over, None),
            turn @ Turn::Challenge(_) => (turn, Some(passed)),
        }
    }

    async fn talk(
        self: Arc<Self>,
        client: Client,
        mechanism: &'static str,
        initial: Option<Vec<u8>>,
        attempt: Attempt,
        (mut answers, turns): (Receiver<Vec<u8>>, Sender<Turn>),
    ) {
        let now = self.now();
        let Some(dovecot) = &now.dovecot else {
            return drop(turns.send(Turn::Over(attempt.settle(Verdict::No, None))).await);
        };
        let addresses = Some((client.remote, client.local));
        let mut said = dovecot.begin(mechanism, addresses, initial.as_deref()).await;
        let mut verdict = Verdict::No;
        for _ in 0..MAX_MESSAGES {
            match said {
                Ok((Step::Continue(challenge), exchange)) => {
                    said = match pass(challenge, exchange, &mut answers, &turns).await {
                        Some(said) => said,
                        // The client has gone, or wants no more.
                        None => return,
                    };
                    continue;
                }
                Ok((Step::Yes(user), _)) => verdict = self.found_by_dovecot(&now, user).await,
                Ok((Step::No, _)) => {}
                Err(why) => verdict = why.into(),
            }
            break;
        }
        // Nobody may be there any more to hear it.
        drop(turns.send(Turn::Over(attempt.settle(verdict, None))).await);
    }
}

/// One challenge to the client, and its answer to Dovecot.
async fn pass<'a>(
    challenge: Vec<u8>,
    mut exchange: Exchange<'a>,
    answers: &mut Receiver<Vec<u8>>,
    turns: &Sender<Turn>,
) -> Option<Result<(Step, Exchange<'a>), Trouble>> {
    let answer = match turns.send(Turn::Challenge(challenge)).await {
        Ok(()) => answers.recv().await,
        Err(_) => None,
    };
    let Some(answer) = answer else {
        exchange.cancel().await;
        return None;
    };
    let step = exchange.answer(&answer).await;
    Some(step.map(|step| (step, exchange)))
}

impl PassedOn {
    /// The client's answer to a challenge.
    pub async fn answer(&mut self, data: Vec<u8>) -> Turn {
        match self.to.send(data).await {
            Ok(()) => self.turn().await,
            Err(_) => Turn::Over(Verdict::No),
        }
    }

    async fn turn(&mut self) -> Turn {
        self.from.recv().await.unwrap_or(Turn::Over(Verdict::No))
    }
}
