//! `SaslHandshake` and `SaslAuthenticate` of a client that is let in already, or that nobody asks.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

use super::text;

/// There are no mechanisms to choose from.
pub(crate) async fn no_handshake(_request: SaslHandshakeRequest) -> SaslHandshakeResponse {
    SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code())
}

/// No exchange has begun.
pub(crate) async fn no_authentication(_request: SaslAuthenticateRequest) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse::default()
        .with_error_code(ResponseError::IllegalSaslState.code())
        .with_error_message(Some(text("nothing is to be authenticated on this connection now")))
}
