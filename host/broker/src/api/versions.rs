//! `ApiVersions`: what this broker answers.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use crate::wire::versions::{PRODUCE_ADVERTISED_MIN, SUPPORTED};

pub(crate) async fn answer(_version: i16, _request: ApiVersionsRequest) -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(advertised())
}

/// The answer, in version 0, to a version that is not supported.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(advertised())
}

fn advertised() -> Vec<ApiVersion> {
    SUPPORTED
        .iter()
        .map(|api| {
            let min = match api.key {
                ApiKey::Produce => PRODUCE_ADVERTISED_MIN,
                _ => api.min,
            };
            ApiVersion::default().with_api_key(api.key as i16).with_min_version(min).with_max_version(api.max)
        })
        .collect()
}
