//! What a client says before it is known who it is.
//!
//! As in Kafka: which versions there are, the mechanism, and the mechanism's messages, in requests of
//! their own (`SaslHandshake` of version 1) or bare (version 0). Whatever else comes ends the
//! connection.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use crate::api::{self, text};
use crate::security::sasl::{self, Exchange, Refused, Step, Users};
use crate::wire::Error;
use crate::wire::dispatch::{Asked, Opened, open};
use crate::wire::frame::Frames;

/// The largest request of a client that is not known. What SASL sends here is a hundredth of it.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// A client needs four.
const REQUESTS_MAX: usize = 16;
/// Checking a password takes a processor for milliseconds, so few are checked at a time.
static CHECKING: Semaphore = Semaphore::const_new(2);

/// How it ended, when the connection was not cut off.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The client is this user.
    User(String),
    /// It is to be told so, later, and disconnected.
    Refused { answer: Option<Bytes>, error: Error },
    /// The client is gone.
    Left,
}

/// An exchange, and how its messages come.
struct Chosen {
    exchange: Exchange,
    mechanism: String,
    /// Without requests around them.
    is_bare: bool,
}

/// Finds out who a client is. `is_private` says that nobody else reads the connection.
pub(crate) async fn authenticate<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    frames: &mut Frames<R>,
    writer: &mut W,
    users: &Arc<Users>,
    is_private: bool,
) -> Result<Outcome, Error> {
    let mut chosen: Option<Chosen> = None;
    for _ in 0..REQUESTS_MAX {
        let Some(frame) = frames.next().await? else {
            return Ok(Outcome::Left);
        };
        if let Some(chosen) = chosen.as_mut().filter(|chosen| chosen.is_bare) {
            match step(chosen, frame).await {
                Ok(Step::More(answer)) => send(writer, &bare(&answer)).await?,
                Ok(Step::Done { user, last }) => {
                    send(writer, &bare(&last)).await?;
                    return Ok(Outcome::User(user));
                }
                Err(error) => return Ok(Outcome::Refused { answer: None, error }),
            }
            continue;
        }
        let asked = match open(frame)? {
            Opened::Request(asked) => asked,
            Opened::Unsupported(answer) => {
                send(writer, &answer).await?;
                continue;
            }
        };
        match (asked.key, chosen.as_mut()) {
            (ApiKey::ApiVersions, None) => send(writer, &versions(asked).await?).await?,
            (ApiKey::SaslHandshake, None) => {
                let (answer, outcome) = choose(asked, users, is_private)?;
                send(writer, &answer).await?;
                chosen = Some(outcome?);
            }
            (ApiKey::SaslAuthenticate, Some(chosen)) => {
                let Asked { envelope, mut body, .. } = asked;
                let request = envelope.decode::<SaslAuthenticateRequest>(&mut body)?;
                let response = SaslAuthenticateResponse::default();
                let encode = |response| envelope.encode::<SaslAuthenticateRequest>(&response);
                match step(chosen, request.auth_bytes).await {
                    Ok(Step::More(answer)) => {
                        send(writer, &encode(response.with_auth_bytes(answer.into()))?).await?;
                    }
                    Ok(Step::Done { user, last }) => {
                        send(writer, &encode(response.with_auth_bytes(last.into()))?).await?;
                        return Ok(Outcome::User(user));
                    }
                    Err(error) => {
                        let message =
                            format!("{} does not know this user with this password", chosen.mechanism);
                        let response = response
                            .with_error_code(ResponseError::SaslAuthenticationFailed.code())
                            .with_error_message(Some(text(message)));
                        return Ok(Outcome::Refused { answer: Some(encode(response)?), error });
                    }
                }
            }
            (key, _) => return Err(Error::Unauthenticated { key: key as i16 }),
        }
    }
    Err(Error::Stalled)
}

async fn versions(asked: Asked) -> Result<Bytes, Error> {
    let Asked { envelope, mut body, .. } = asked;
    let request = envelope.decode::<ApiVersionsRequest>(&mut body)?;
    let response = api::versions::answer(envelope.version, request).await;
    envelope.encode::<ApiVersionsRequest>(&response)
}

/// The answer to a handshake, and what it chose.
fn choose(
    asked: Asked,
    users: &Arc<Users>,
    is_private: bool,
) -> Result<(Bytes, Result<Chosen, Error>), Error> {
    let Asked { envelope, mut body, .. } = asked;
    let mechanism = envelope.decode::<SaslHandshakeRequest>(&mut body)?.mechanism.to_string();
    let offered = sasl::mechanisms(is_private).into_iter().map(text).collect();
    let response = SaslHandshakeResponse::default().with_mechanisms(offered);
    let (response, outcome) = match Exchange::begin(users, &mechanism, is_private) {
        Some(exchange) => (response, Ok(Chosen { exchange, mechanism, is_bare: envelope.version == 0 })),
        None => {
            let code = ResponseError::UnsupportedSaslMechanism.code();
            (response.with_error_code(code), Err(Error::Mechanism(shown(&mechanism))))
        }
    };
    Ok((envelope.encode::<SaslHandshakeRequest>(&response)?, outcome))
}

/// Takes a message of the mechanism.
async fn step(chosen: &mut Chosen, message: Bytes) -> Result<Step, Error> {
    // Never closed, so this never fails.
    let _turn = CHECKING.acquire().await;
    // Other tasks of this thread go on elsewhere meanwhile.
    let stepped = tokio::task::block_in_place(|| chosen.exchange.step(&message));
    stepped.map_err(|Refused { user }| Error::Refused {
        user: shown(&user),
        mechanism: chosen.mechanism.clone(),
    })
}

/// As much of a stranger's text as the log takes.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

fn bare(message: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(4 + message.len());
    // Messages are short.
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes.freeze()
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, answer: &[u8]) -> Result<(), Error> {
    writer.write_all(answer).await?;
    // TLS keeps bytes until then.
    writer.flush().await?;
    Ok(())
}
