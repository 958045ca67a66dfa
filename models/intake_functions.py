"""Database functions through which services enqueue inside their own transactions.

They stand in a schema of their own, so that a role can be confined to them. They run with their
owner's rights: each names tables with their schema, and a caller's temporary ones come last in its
search path. They ask for `session_user`: `SET ROLE` makes nobody another.
"""

from __future__ import annotations

from sqlalchemy import Connection, event

from models.base import Base

GROUP = "kadencia_enqueue"
"""The role whose members may enqueue and see what became of it, and nothing else."""

MAKE_SCHEMA = """
DO $$ BEGIN
    IF to_regnamespace('kadencia') IS NULL THEN CREATE SCHEMA kadencia; END IF;
END $$;
"""

CHECK_COMPANY = """
CREATE OR REPLACE FUNCTION kadencia.check_company(company text) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    fitting bigint[];
BEGIN
    SELECT array_agg(c.id) INTO fitting
    FROM public.sql_role r JOIN public.company c ON c.id = r.company_id
    WHERE r.role = session_user AND (check_company.company IS NULL OR c.name = company);
    IF fitting IS NULL THEN
        RAISE EXCEPTION '%', CASE WHEN company IS NULL
            THEN format('role %s may enqueue for no company', session_user)
            ELSE format('company %L: does not exist, or role %s may not enqueue for it', company,
                session_user) END
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'The operator allows it with: kadencia sql-role create ' || session_user;
    ELSIF cardinality(fitting) > 1 THEN
        RAISE EXCEPTION 'company: is not named, and role % may enqueue for several', session_user
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give company => its name.';
    END IF;
    RETURN fitting[1];
END $$;
"""

CHECK_PLACE = """
CREATE OR REPLACE FUNCTION kadencia.check_place(
    of_company bigint, of_channel text, task text, establishment text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF task IS NOT NULL AND NOT EXISTS (SELECT FROM public.automatic_task t
            WHERE t.company_id = of_company AND t.channel = of_channel AND t.name = task) THEN
        RAISE EXCEPTION 'task %: the company has no such automatic task for this channel',
            quote_literal(left(task, 80))
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name one of its own, or none.';
    END IF;
    IF establishment IS NOT NULL AND NOT EXISTS (SELECT FROM public.establishment e
            WHERE e.company_id = of_company AND e.name = establishment) THEN
        RAISE EXCEPTION 'establishment %: the company has no such establishment',
            quote_literal(left(establishment, 80))
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name one of its own, or none.';
    END IF;
END $$;
"""

# Three days are what a message is good for where no expiry is given; here only the order counts.
CHECK_TIMES = """
CREATE OR REPLACE FUNCTION kadencia.check_times(
    not_before timestamptz, expires_at timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF not_before NOT BETWEEN '2000-01-01' AND '9000-01-01'
            OR expires_at NOT BETWEEN '2000-01-01' AND '9000-01-01' THEN
        RAISE EXCEPTION 'not_before, expires_at: is no time that can come'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a time of this age, or none.';
    ELSIF expires_at <= greatest(not_before, clock_timestamp()) THEN
        RAISE EXCEPTION 'expires_at: % is not after the moment at which it may go', expires_at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give a later time, or none.';
    END IF;
END $$;
"""

CHECK_NAME = """
CREATE OR REPLACE FUNCTION kadencia.check_name(given text, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF given ~ '^\\s*$' OR length(given) > 200 THEN
        RAISE EXCEPTION '%: is blank or longer than 200 characters', what
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Shorten it, or leave it out.';
    END IF;
END $$;
"""

# Whether it is an address after all, the full check says; this one catches what was mixed up.
CHECK_ADDRESSES = """
CREATE OR REPLACE FUNCTION kadencia.check_addresses(addresses text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one text;
BEGIN
    IF coalesce(cardinality(addresses), 0) = 0 THEN
        RAISE EXCEPTION 'to_addresses: there is no recipient'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give one in to, cc or bcc.';
    ELSIF cardinality(addresses) > 100 THEN
        RAISE EXCEPTION 'to_addresses: % recipients are more than 100', cardinality(addresses)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Enqueue one message for each.';
    END IF;
    FOREACH one IN ARRAY addresses LOOP
        IF one IS NULL OR length(one) > 1000 OR one ~ '[[:cntrl:]]'
                OR one !~ '[^@<>[:space:]]@[^@<>[:space:]]+>?[[:space:]]*$' THEN
            RAISE EXCEPTION '%: is no e-mail address', quote_nullable(left(one, 80))
                USING ERRCODE = 'invalid_parameter_value',
                    HINT = 'Write anna@firma.example or Anna <anna@firma.example>.';
        END IF;
    END LOOP;
END $$;
"""

# A repeat under its key is the same document. One that was rejected never became a message, so
# a repeat replaces it: it may have been mended, or what it wanted may exist by now.
HAND_IN = """
CREATE OR REPLACE FUNCTION kadencia.hand_in(
    of_company bigint, of_channel text, of_priority text, given jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place smallint := array_position(ARRAY['transactional', 'normal', 'bulk'], of_priority) - 1;
    key text := given ->> 'idempotency_key';
    mark bytea := sha256(convert_to((given - ARRAY['priority', 'not_before', 'expires_at',
        'reference'])::text, 'UTF8'));
    before record;
    made bigint;
BEGIN
    IF place IS NULL THEN
        RAISE EXCEPTION 'priority: % is none', quote_nullable(left(of_priority, 80))
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Give transactional, normal or bulk.';
    ELSIF octet_length(given::text) > 40000000 THEN
        RAISE EXCEPTION 'message: is larger than 40 MB' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Send a link in place of the largest file.';
    END IF;
    PERFORM kadencia.check_name(key, 'idempotency_key'),
        kadencia.check_name(given ->> 'reference', 'reference'),
        kadencia.check_place(of_company, of_channel, given ->> 'task', given ->> 'establishment');
    LOOP
        INSERT INTO public.intake AS i (company_id, channel, source, priority, document, digest,
            idempotency_key, origin)
        VALUES (of_company, of_channel, 'sql', place, given, mark, key, session_user)
        ON CONFLICT (source, company_id, idempotency_key) WHERE idempotency_key IS NOT NULL
            DO UPDATE SET document = excluded.document, digest = excluded.digest,
                channel = excluded.channel, priority = excluded.priority,
                origin = excluded.origin, state = 'waiting', why = NULL, settled_at = NULL
            WHERE i.state IN ('rejected', 'dismissed')
        RETURNING id INTO made;
        IF made IS NOT NULL THEN
            PERFORM pg_notify('kadencia_intake', '1');
            RETURN made;
        END IF;
        SELECT i.id, i.digest INTO before FROM public.intake i
        WHERE i.source = 'sql' AND i.company_id = of_company AND i.idempotency_key = key;
        CONTINUE WHEN NOT FOUND;  -- gone between our insert and our look
        IF before.digest <> mark THEN
            RAISE EXCEPTION 'idempotency_key %: was used before for other content, in %',
                quote_literal(key), before.id
                USING ERRCODE = 'unique_violation',
                    HINT = 'Use a new key, or enqueue the same content.';
        END IF;
        RETURN before.id;
    END LOOP;
END $$;
"""

ENQUEUE_EMAIL = """
CREATE OR REPLACE FUNCTION kadencia.enqueue_email(
    to_addresses text[], subject text, body_text text DEFAULT NULL, body_html text DEFAULT NULL,
    company text DEFAULT NULL, task text DEFAULT NULL, establishment text DEFAULT NULL,
    priority text DEFAULT 'normal', cc_addresses text[] DEFAULT '{}',
    bcc_addresses text[] DEFAULT '{}', reply_to text[] DEFAULT '{}',
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    reference text DEFAULT NULL, idempotency_key text DEFAULT NULL, fields jsonb DEFAULT NULL,
    headers jsonb DEFAULT '{}', list_unsubscribe text[] DEFAULT '{}',
    attachments jsonb DEFAULT '[]') RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner bigint := kadencia.check_company(company);
BEGIN
    PERFORM kadencia.check_addresses(to_addresses || cc_addresses || bcc_addresses),
        kadencia.check_times(not_before, expires_at);
    IF subject IS NULL OR subject ~ '[[:cntrl:]]' THEN
        RAISE EXCEPTION 'subject: is missing or has a control character'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give one of a single line.';
    ELSIF num_nonnulls(body_text, body_html) = 0 THEN
        RAISE EXCEPTION 'message: has neither body_text nor body_html'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give it one.';
    ELSIF jsonb_typeof(headers) <> 'object' OR jsonb_typeof(attachments) <> 'array'
            OR jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'message: headers and fields are objects, attachments an array'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'See docs/enqueueing.md.';
    END IF;
    RETURN kadencia.hand_in(owner, 'email', priority, jsonb_build_object('schema', 1,
        'to', to_addresses, 'cc', cc_addresses, 'bcc', bcc_addresses, 'reply_to', reply_to,
        'subject', subject, 'text', body_text, 'html', body_html, 'task', task,
        'establishment', establishment, 'priority', priority, 'not_before', not_before,
        'expires_at', expires_at, 'reference', reference, 'idempotency_key', idempotency_key,
        'fields', fields, 'headers', headers, 'list_unsubscribe', list_unsubscribe,
        'attachments', attachments));
END $$;
"""

ENQUEUE_SMS = """
CREATE OR REPLACE FUNCTION kadencia.enqueue_sms(
    number text, body_text text, sender text DEFAULT NULL, company text DEFAULT NULL,
    task text DEFAULT NULL, establishment text DEFAULT NULL, priority text DEFAULT 'normal',
    not_before timestamptz DEFAULT NULL, expires_at timestamptz DEFAULT NULL,
    reference text DEFAULT NULL, idempotency_key text DEFAULT NULL, fields jsonb DEFAULT NULL,
    transliterate boolean DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner bigint := kadencia.check_company(company);
BEGIN
    PERFORM kadencia.check_times(not_before, expires_at);
    IF number IS NULL OR number !~ '^[+(]?[0-9][-0-9 ()./]{3,30}$' THEN
        RAISE EXCEPTION '%: is no telephone number', quote_nullable(left(number, 80))
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write +421903622237.';
    ELSIF coalesce(body_text, '') = '' THEN
        RAISE EXCEPTION 'body_text: is missing'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the text of the SMS.';
    ELSIF jsonb_typeof(fields) <> 'object' THEN
        RAISE EXCEPTION 'fields: is no object'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'See docs/enqueueing.md.';
    END IF;
    RETURN kadencia.hand_in(owner, 'sms', priority, jsonb_build_object('schema', 1,
        'number', number, 'text', body_text, 'sender', sender, 'transliterate', transliterate,
        'task', task, 'establishment', establishment, 'priority', priority,
        'not_before', not_before, 'expires_at', expires_at, 'reference', reference,
        'idempotency_key', idempotency_key, 'fields', fields));
END $$;
"""

MESSAGE_STATE = """
CREATE OR REPLACE FUNCTION kadencia.message_state(id bigint)
RETURNS TABLE (state text, why text, message_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(m.state, i.state), CASE WHEN m.id IS NULL THEN i.why ELSE m.why END, m.id
    FROM public.intake i LEFT JOIN public.message m ON m.id = i.message_id
    WHERE i.id = message_state.id AND i.source = 'sql' AND i.company_id IN (
        SELECT r.company_id FROM public.sql_role r WHERE r.role = session_user)
$$;
"""

FUNCTIONS = (
    CHECK_COMPANY,
    CHECK_PLACE,
    CHECK_TIMES,
    CHECK_NAME,
    CHECK_ADDRESSES,
    HAND_IN,
    ENQUEUE_EMAIL,
    ENQUEUE_SMS,
    MESSAGE_STATE,
)

# Trigger functions answer nobody's call anyway; but a new one that does must not slip through.
# The group is a matter of the cluster: it may not be there, and is not part of a backup.
CONFINE = """
DO $$
DECLARE
    ours record;
BEGIN
    FOR ours IN SELECT p.oid::regprocedure AS signature, n.nspname, p.proname
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname IN ('public', 'kadencia')
          AND p.proowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', ours.signature);
        IF ours.nspname = 'kadencia'
                AND ours.proname IN ('enqueue_email', 'enqueue_sms', 'message_state')
                AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'kadencia_enqueue') THEN
            GRANT USAGE ON SCHEMA kadencia TO kadencia_enqueue;
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO kadencia_enqueue', ours.signature);
        END IF;
    END LOOP;
END $$;
"""


def confine(connection: Connection) -> None:
    """Take our functions from everybody, and let the group call what it may."""
    connection.exec_driver_sql(CONFINE.replace("%", "%%"))


def _install(_target: object, connection: Connection, **_: object) -> None:
    for statement in (MAKE_SCHEMA, *FUNCTIONS):
        # The driver formats, even without parameters: RAISE's % must reach the server single.
        connection.exec_driver_sql(statement.replace("%", "%%"))
    confine(connection)


event.listen(Base.metadata, "after_create", _install)
