//! Typed access to a JSON configuration, with errors that name file and dotted key.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::nn::Activation;
use crate::{ModelError, Result};

/// Characters of an offending value that a message quotes.
const FOUND_SHOWN: usize = 80;

/// A JSON object of a configuration file.
pub(crate) struct Section {
    path: PathBuf,
    /// Dotted prefix of the keys, empty at the top.
    prefix: String,
    value: Value,
    /// Keys that were absent and took a default.
    defaulted: Vec<String>,
}

impl Section {
    /// Reads a file whose top level is an object.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
        let section =
            Self { path: path.to_owned(), prefix: String::new(), value, defaulted: Vec::new() };
        if !section.value.is_object() {
            return Err(section.invalid("(top level)", &section.value, "an object"));
        }
        Ok(section)
    }

    /// A value that stands for the contents of a file.
    pub(crate) fn of(path: &Path, value: Value) -> Self {
        Self { path: path.to_owned(), prefix: String::new(), value, defaulted: Vec::new() }
    }

    /// An object without keys, for a file that need not be there.
    pub(crate) fn empty(path: &Path) -> Self {
        let value = Value::Object(serde_json::Map::default());
        Self { path: path.to_owned(), prefix: String::new(), value, defaulted: Vec::new() }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keys that took a default so far, dotted.
    pub(crate) fn into_defaulted(self) -> Vec<String> {
        self.defaulted
    }

    /// The value of a key; JSON `null` counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    /// Every key with its value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// An object inside this one.
    pub(crate) fn section(&self, key: &str) -> Result<Self> {
        let value = self.get(key).ok_or_else(|| self.missing(key))?;
        if !value.is_object() {
            return Err(self.invalid(key, value, "an object"));
        }
        Ok(Self {
            path: self.path.clone(),
            prefix: self.dotted(key) + ".",
            value: value.clone(),
            defaulted: Vec::new(),
        })
    }

    /// A count that must be there.
    pub(crate) fn count(&self, key: &str) -> Result<usize> {
        self.optional_count(key)?.ok_or_else(|| self.missing(key))
    }

    /// A count, or the format's default, which is remembered.
    pub(crate) fn count_or(&mut self, key: &str, default: usize) -> Result<usize> {
        if let Some(count) = self.optional_count(key)? {
            return Ok(count);
        }
        self.defaulted.push(format!("{} ({default})", self.dotted(key)));
        Ok(default)
    }

    /// A count that may be absent.
    pub(crate) fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        self.get(key)
            .map(|value| {
                value
                    .as_u64()
                    .and_then(|n| usize::try_from(n).ok())
                    .ok_or_else(|| self.invalid(key, value, "a whole number"))
            })
            .transpose()
    }

    /// Counts, or the format's defaults, which are remembered.
    pub(crate) fn counts_or(&mut self, key: &str, default: &[usize]) -> Result<Vec<usize>> {
        let Some(value) = self.get(key) else {
            self.defaulted.push(format!("{} ({default:?})", self.dotted(key)));
            return Ok(default.to_vec());
        };
        let count = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let counts = value.as_array().and_then(|values| values.iter().map(count).collect());
        counts.ok_or_else(|| self.invalid(key, value, "a list of whole numbers"))
    }

    /// A number that may be absent.
    pub(crate) fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| value.as_f64().ok_or_else(|| self.invalid(key, value, "a number")))
            .transpose()
    }

    /// A string that may be absent.
    pub(crate) fn optional_text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key)
            .map(|value| value.as_str().ok_or_else(|| self.invalid(key, value, "a string")))
            .transpose()
    }

    /// An activation of transformers' name; may be absent.
    pub(crate) fn optional_activation(&self, key: &str) -> Result<Option<Activation>> {
        let Some(name) = self.optional_text(key)? else { return Ok(None) };
        let expected = Activation::NAMES_OF_TRANSFORMERS;
        let activation = Activation::of_transformers(name);
        activation.map(Some).ok_or_else(|| self.invalid(key, &Value::from(name), expected))
    }

    /// A flag that may be absent.
    pub(crate) fn optional_flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key)
            .map(|value| value.as_bool().ok_or_else(|| self.invalid(key, value, "true or false")))
            .transpose()
    }

    /// Three finite numbers, one a colour channel; may be absent.
    pub(crate) fn optional_rgb(&self, key: &str) -> Result<Option<[f32; 3]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let invalid = || self.invalid(key, value, "three numbers");
        let numbers: Vec<f32> = value
            .as_array()
            .ok_or_else(invalid)?
            .iter()
            .map(|v| v.as_f64().map(|v| v as f32).filter(|v| v.is_finite()).ok_or_else(invalid))
            .collect::<Result<_>>()?;
        numbers.try_into().map(Some).map_err(|_| invalid())
    }

    pub(crate) fn missing(&self, key: &str) -> ModelError {
        ModelError::MissingConfigKey { path: self.path.clone(), key: self.dotted(key) }
    }

    pub(crate) fn invalid(&self, key: &str, found: &Value, expected: &str) -> ModelError {
        ModelError::InvalidConfigValue {
            path: self.path.clone(),
            key: self.dotted(key),
            found: shortened(&found.to_string()),
            expected: expected.to_owned(),
        }
    }

    pub(crate) fn unsupported(&self, found: String) -> ModelError {
        ModelError::UnsupportedArchitecture { path: self.path.clone(), found }
    }

    fn dotted(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(FOUND_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Says which keys took the format's default, to stand behind what does not fit.
pub(crate) fn default_hint(defaulted: &[String]) -> String {
    if defaulted.is_empty() {
        return String::new();
    }
    format!(
        " (the configuration does not give {}, so the format's default was taken)",
        defaulted.join(", ")
    )
}
