-- What every tenant table gets: row-level security that even its owner cannot pass, and the serving role's rights.
-- `rights` narrows them: 'SELECT, INSERT' for what is append-only.
CREATE FUNCTION public.pestle_guard(target regclass, rights text DEFAULT 'SELECT, INSERT, UPDATE, DELETE')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    -- The sub-select is evaluated once per statement instead of once per row.
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO pestle_serve
         USING (tenant_id = (SELECT current_setting(''pestle.tenant_id'', true)))
         WITH CHECK (tenant_id = (SELECT current_setting(''pestle.tenant_id'', true)))', target);
    EXECUTE format('GRANT %s ON %s TO pestle_serve', rights, target);
END
$$;
REVOKE EXECUTE ON FUNCTION public.pestle_guard(regclass, text) FROM PUBLIC;

-- Lets the role for questions that come before a tenant is known read one table, whole.
CREATE FUNCTION public.pestle_system_reads(target regclass)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE POLICY system_reads ON %s FOR SELECT TO pestle_system USING (true)', target);
    EXECUTE format('GRANT SELECT ON %s TO pestle_system', target);
END
$$;
REVOKE EXECUTE ON FUNCTION public.pestle_system_reads(regclass) FROM PUBLIC;
