-- The three roles (see the documentation of the module `db`). Repeatable.
DO $$
BEGIN
    -- Two starts at once must not both create them.
    PERFORM pg_advisory_xact_lock(7311001);
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pestle_owner') THEN
        CREATE ROLE pestle_owner NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
    -- NOINHERIT: what pestle_system may do is reached by SET LOCAL ROLE alone.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pestle_serve') THEN
        CREATE ROLE pestle_serve LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pestle_system') THEN
        CREATE ROLE pestle_system NOLOGIN NOSUPERUSER NOBYPASSRLS;
    END IF;
    GRANT pestle_system TO pestle_serve;
    EXECUTE format('GRANT CONNECT, CREATE ON DATABASE %I TO pestle_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO pestle_serve', current_database());
    -- Where sqlx keeps its list of applied migrations.
    GRANT USAGE, CREATE ON SCHEMA public TO pestle_owner;
END
$$;
