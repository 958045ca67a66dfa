"""Enqueueing by SQL functions and by Celery tasks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

MAKE_SCHEMA = r"""
DO $$ BEGIN
    IF to_regnamespace('kadencia') IS NULL THEN CREATE SCHEMA kadencia; END IF;
END $$;
"""

CHECK_COMPANY = r"""
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

CHECK_PLACE = r"""
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

CHECK_TIMES = r"""
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

CHECK_NAME = r"""
CREATE OR REPLACE FUNCTION kadencia.check_name(given text, what text) RETURNS void
LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF given ~ '^\s*$' OR length(given) > 200 THEN
        RAISE EXCEPTION '%: is blank or longer than 200 characters', what
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Shorten it, or leave it out.';
    END IF;
END $$;
"""

CHECK_ADDRESSES = r"""
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

HAND_IN = r"""
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

ENQUEUE_EMAIL = r"""
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

ENQUEUE_SMS = r"""
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

MESSAGE_STATE = r"""
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

DROP_FUNCTIONS = """
DROP FUNCTION kadencia.message_state, kadencia.enqueue_sms, kadencia.enqueue_email,
    kadencia.hand_in, kadencia.check_addresses, kadencia.check_name, kadencia.check_times,
    kadencia.check_place, kadencia.check_company;
DROP SCHEMA kadencia;
"""


def upgrade() -> None:
    """Go forward."""
    op.create_table(
        "intake",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("priority", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("channel IN ('email', 'sms')", name=op.f("ck_intake_channel")),
        sa.CheckConstraint("source IN ('sql', 'celery')", name=op.f("ck_intake_source")),
        sa.CheckConstraint(
            "state IN ('waiting', 'accepted', 'rejected', 'dismissed')",
            name=op.f("ck_intake_state"),
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 2", name=op.f("ck_intake_priority")),
        sa.CheckConstraint(
            "(document IS NOT NULL) = (state IN ('waiting', 'rejected'))",
            name=op.f("ck_intake_document"),
        ),
        sa.CheckConstraint(
            "(message_id IS NOT NULL) = (state = 'accepted')", name=op.f("ck_intake_message")
        ),
        sa.CheckConstraint(
            "(settled_at IS NULL) = (state = 'waiting')", name=op.f("ck_intake_settled")
        ),
        sa.ForeignKeyConstraint(["company_id"], ["company.id"], name=op.f("fk_intake_company_id")),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_intake_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intake")),
    )
    op.create_index(
        "uq_intake_idempotency_key",
        "intake",
        ["source", "company_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index(
        "ix_intake_waiting",
        "intake",
        ["priority", "id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_intake_rejected", "intake", ["id"], postgresql_where=sa.text("state = 'rejected'")
    )
    op.create_index(
        "ix_intake_dismissed",
        "intake",
        ["settled_at"],
        postgresql_where=sa.text("state = 'dismissed'"),
    )
    op.create_index(op.f("ix_intake_message_id"), "intake", ["message_id"])
    op.create_table(
        "sql_role",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("company_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["company_id"], ["company.id"], name=op.f("fk_sql_role_company_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role", "company_id", name=op.f("pk_sql_role")),
    )
    for statement in (MAKE_SCHEMA, *FUNCTIONS):
        _run(statement)


def downgrade() -> None:
    """Go back."""
    _run(DROP_FUNCTIONS)
    op.drop_table("sql_role")
    op.drop_table("intake")


def _run(statement: str) -> None:
    # The driver formats, even without parameters: RAISE's % must reach the server single.
    op.get_bind().exec_driver_sql(statement.replace("%", "%%"))
