-- A sign-in that was given out before this moment is not renewed: raised by a new password, by signing out everywhere,
-- and by being disabled.
ALTER TABLE identity.user_account ADD COLUMN valid_from timestamptz NOT NULL DEFAULT 'epoch';
