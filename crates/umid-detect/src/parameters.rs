//! Parameters of a detector in linfa's form: set one by one, checked, then fitted.

/// From a list of parameters with their defaults, in order: a type to set them (`$params`), a type
/// of checked ones (`$valid`), and the way from a model to the former. `$valid` is checked by its
/// own `check_values`.
macro_rules! parameters {
    ($model:ident, $params:ident, $valid:ident {
        $($(#[$about:meta])+ $field:ident: $type:ty = $default:expr,)+
    }) => {
        #[doc = concat!("Parameters of [`", stringify!($model), "`].")]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $params($valid);

        #[doc = concat!("Checked parameters of [`", stringify!($model), "`].")]
        #[derive(Debug, Clone, PartialEq)]
        pub struct $valid {
            $($field: $type,)+
        }

        impl $model {
            /// Parameters to fit with.
            pub fn params() -> $params {
                $params::default()
            }
        }

        impl Default for $params {
            fn default() -> Self {
                Self($valid { $($field: $default,)+ })
            }
        }

        impl $params {
            $(
                $(#[$about])+
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.0.$field = $field;
                    self
                }
            )+
        }

        impl linfa::ParamGuard for $params {
            type Checked = $valid;
            type Error = $crate::DetectError;

            fn check_ref(&self) -> $crate::error::Result<&$valid> {
                self.0.check_values().map(|()| &self.0)
            }

            fn check(self) -> $crate::error::Result<$valid> {
                self.0.check_values().map(|()| self.0)
            }
        }
    };
}

pub(crate) use parameters;
