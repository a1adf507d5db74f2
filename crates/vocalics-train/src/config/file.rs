//! Configurations in files.

use std::path::Path;

use serde::de::DeserializeOwned;
use vocalics_runtime::Encoder;

use super::TrainConfig;
use crate::{EncoderConfig, TrainError};

impl TrainConfig {
    /// Reads and validates a configuration file for an encoder: what it does not say is as in [`Self::for_encoder`], and
    /// an encoder that it names must be this one.
    ///
    /// # Errors
    /// As [`Self::read`], and [`TrainError::OtherEncoder`].
    pub fn read_for_encoder(path: &Path, encoder: &Encoder) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        let syntax = |source| TrainError::ConfigSyntax {
            path: path.to_owned(),
            source: Box::new(source),
        };
        // Said of the file as it is written, with the line.
        let plain: Self = toml::from_str(&text).map_err(syntax)?;
        if let Some(named) = &plain.encoder {
            named.check(encoder)?;
        }
        let defaults = Self::for_encoder(EncoderConfig::of(encoder));
        let said: toml::Table = toml::from_str(&text).map_err(syntax)?;
        let mut whole: toml::Table = toml::from_str(&defaults.to_toml()).map_err(syntax)?;
        overlay(&mut whole, said);
        let config: Self = whole.try_into().map_err(syntax)?;
        config
            .validate()
            .map_err(|source| TrainError::ConfigValue {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        Ok(config)
    }

    /// Reads a configuration file and validates its values. Whether it says all that its sections need is for
    /// [`Self::validate`], after the command line has had its say.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::ConfigSyntax`], or [`TrainError::ConfigValue`] around what
    /// [`Self::validate`] says of values.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        read_toml(path, Self::validate_values)
    }
}

/// Puts what a file says over defaults, table by table. A network comes whole: fields of another kind are none of its.
fn overlay(defaults: &mut toml::Table, said: toml::Table) {
    for (key, value) in said {
        match (defaults.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(said)) if key != "network" => {
                overlay(inner, said);
            }
            (_, value) => {
                defaults.insert(key, value);
            }
        }
    }
}

/// Reads a file of typed TOML and checks its values.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::ConfigSyntax`], or [`TrainError::ConfigValue`] around what `check` says.
pub(crate) fn read_toml<T: DeserializeOwned>(
    path: &Path,
    check: impl FnOnce(&T) -> Result<(), TrainError>,
) -> Result<T, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let value: T = toml::from_str(&text).map_err(|source| TrainError::ConfigSyntax {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    check(&value).map_err(|source| TrainError::ConfigValue {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    Ok(value)
}
