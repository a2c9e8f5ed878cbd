//! The shape of every success.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;

/// `{"success":true,"data":…,"message":…}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// Always true; errors have their own shape.
    pub success: bool,
    /// What was asked for.
    pub data: T,
    /// In words.
    pub message: String,
}

impl<T> Envelope<T> {
    /// With what was asked for.
    pub fn new(data: T) -> Self {
        Self::saying(data, "ok")
    }

    /// With what was asked for and a sentence.
    pub fn saying(data: T, message: impl Into<String>) -> Self {
        Self { success: true, data, message: message.into() }
    }

    /// As 201.
    pub fn created(self) -> Created<T> {
        Created(self)
    }
}

impl<T: Serialize> IntoResponse for Envelope<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// An [`Envelope`] with status 201.
#[derive(Debug)]
pub struct Created<T>(Envelope<T>);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

/// A success with a page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// Always true.
    pub success: bool,
    /// This page's items.
    pub data: Vec<T>,
    /// In words.
    pub message: String,
    /// Where this page stands.
    pub meta: PageMeta,
}

/// Where a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct PageMeta {
    /// From 1.
    pub current_page: u32,
    /// Items on a full page.
    pub page_size: u32,
    /// Items on all pages.
    pub total_items: u64,
    /// Pages.
    pub total_pages: u64,
    /// Whether there is a later one.
    pub has_next: bool,
    /// Whether there is an earlier one.
    pub has_prev: bool,
}

impl<T> Page<T> {
    /// The items of the page that `request` asked for, of `total_items`.
    pub fn new(data: Vec<T>, request: PageRequest, total_items: u64) -> Self {
        Self { success: true, data, message: "ok".into(), meta: request.meta(total_items) }
    }
}

impl<T> Page<T> {
    /// The page that `request` asked for, cut out of all there are: for lists that are short.
    pub fn of_all<U>(all: Vec<U>, request: PageRequest, view: impl FnMut(U) -> T) -> Self {
        let total = all.len() as u64;
        let skip = usize::try_from(request.offset()).unwrap_or(usize::MAX);
        let shown = all.into_iter().skip(skip).take(request.page_size as usize).map(view).collect();
        Self::new(shown, request, total)
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// `?page=…&page_size=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct PageRequest {
    /// From 1; default 1.
    pub page: u32,
    /// 1 to 200; default 50.
    pub page_size: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { page: 1, page_size: 50 }
    }
}

impl PageRequest {
    /// The most items on a page.
    pub const SIZE_MAX: u32 = 200;

    /// From a query in which both may be left out, checked.
    ///
    /// # Errors
    /// VALIDATION, saying which.
    pub fn of(page: Option<u32>, page_size: Option<u32>) -> Result<Self, ApiError> {
        let default = Self::default();
        Self { page: page.unwrap_or(default.page), page_size: page_size.unwrap_or(default.page_size) }.check()
    }

    /// Refuses page 0 and sizes outside 1 to 200.
    ///
    /// # Errors
    /// VALIDATION, saying which.
    pub fn check(self) -> Result<Self, ApiError> {
        if self.page == 0 {
            return Err(ApiError::validation("page counts from 1"));
        }
        if !(1..=Self::SIZE_MAX).contains(&self.page_size) {
            return Err(ApiError::validation(format!("page_size must be 1 to {}", Self::SIZE_MAX)));
        }
        Ok(self)
    }

    /// For SQL `LIMIT`.
    pub fn limit(self) -> i64 {
        i64::from(self.page_size)
    }

    /// For SQL `OFFSET`.
    pub fn offset(self) -> i64 {
        i64::from(self.page.saturating_sub(1)) * i64::from(self.page_size)
    }

    /// Where this page stands among `total_items`.
    pub fn meta(self, total_items: u64) -> PageMeta {
        let total_pages = total_items.div_ceil(u64::from(self.page_size.max(1)));
        PageMeta {
            current_page: self.page,
            page_size: self.page_size,
            total_items,
            total_pages,
            has_next: u64::from(self.page) < total_pages,
            has_prev: self.page > 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_its_neighbours() {
        let meta = |page, total| PageRequest { page, page_size: 50 }.meta(total);
        assert_eq!((meta(1, 0).total_pages, meta(1, 0).has_next, meta(1, 0).has_prev), (0, false, false));
        assert_eq!((meta(1, 51).total_pages, meta(1, 51).has_next), (2, true));
        assert_eq!((meta(2, 51).has_next, meta(2, 51).has_prev), (false, true));
    }
}
