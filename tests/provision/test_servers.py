"""The embedded servers are the real ones, durable, private to this machine, and keep their data over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from harness.errors import HarnessError
from harness.provision import Component, Infrastructure, create_database, database_url, drop_database


def _produce(bootstrap: str, topic: str, value: bytes) -> int:
    """The offset of an acknowledged record."""

    async def produce() -> int:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
            return int((await producer.send_and_wait(topic, value)).offset)

    return asyncio.run(asyncio.wait_for(produce(), 15))


def _consume(bootstrap: str, topic: str, records: int) -> list[bytes]:
    async def consume() -> list[bytes]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        async with consumer:
            consumer.assign([TopicPartition(topic, 0)])
            return [(await consumer.getone()).value for _ in range(records)]

    return asyncio.run(asyncio.wait_for(consume(), 15))


def _create_topic(bootstrap: str, topic: str) -> None:
    async def create() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await client.start()
        try:
            await client.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
        finally:
            await client.close()

    asyncio.run(asyncio.wait_for(create(), 15))


def test_versions(servers: Infrastructure) -> None:
    assert servers.server(Component.POSTGRES).version.startswith("PostgreSQL 18")
    assert servers.server(Component.REDIS).version.startswith("Valkey ")
    assert servers.server(Component.KAFKA).version == "Apache Kafka 4.4.0"


def test_postgres_is_set_as_the_report_says_and_durable(servers: Infrastructure) -> None:
    told = servers.server(Component.POSTGRES).settings
    with psycopg.connect(servers.postgres_url) as connection:
        real = {key: connection.execute("select current_setting(%s)", (key,)).fetchone() for key in told}
    assert real == {key: (value,) for key, value in told.items()}
    assert {told[key] for key in ("fsync", "synchronous_commit", "full_page_writes")} == {"on"}


def test_postgres_folds_the_case_of_all_letters(servers: Infrastructure) -> None:
    with psycopg.connect(servers.postgres_url) as connection:
        row = connection.execute("select 'ÉTUDE 콘서트' ilike '%étude%', current_setting('server_encoding')").fetchone()
    assert row == (True, "UTF8")


def test_valkey_is_set_as_the_report_says(servers: Infrastructure) -> None:
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        real = client.config_get("append*", "save", "maxmemory*")
    assert (real["appendonly"], real["appendfsync"], real["save"]) == ("yes", "everysec", "")
    assert (real["maxmemory"], real["maxmemory-policy"]) == (str(256 * 2**20), "volatile-lru")


def test_kafka_makes_no_topic_by_itself(servers: Infrastructure) -> None:
    _create_topic(servers.kafka_bootstrap, "asked-for")

    async def topics() -> list[str]:
        client = AIOKafkaAdminClient(bootstrap_servers=servers.kafka_bootstrap)
        await client.start()
        try:
            await client.describe_topics(["not-asked-for"])
            return list(await client.list_topics())
        finally:
            await client.close()

    names = asyncio.run(asyncio.wait_for(topics(), 15))
    assert "asked-for" in names
    assert "not-asked-for" not in names


def test_kafka_starts_from_its_archive(servers: Infrastructure) -> None:
    process = servers.server(Component.KAFKA).process
    assert process is not None
    mapped = {Path(region.path).suffix for region in psutil.Process(process.pid).memory_maps()}
    # Java ignores an archive that does not fit, and starts a second slower.
    assert ".aot" in mapped


def test_only_this_machine_can_connect(servers: Infrastructure) -> None:
    for server in servers.servers:
        assert server.process is not None
        listening = [
            connection.laddr.ip
            for connection in psutil.Process(server.process.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening, server.component
        assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_strangers_need_a_password_that_is_shown_nowhere(servers: Infrastructure, logs: Path) -> None:
    address = servers.server(Component.POSTGRES).address
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@{address}/postgres")
    with (
        redis.Redis.from_url(f"redis://{servers.server(Component.REDIS).address}/0") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    passwords = [psycopg.conninfo.conninfo_to_dict(servers.postgres_url)["password"]]
    passwords.append(servers.redis_url.split(":")[2].partition("@")[0])
    shown = repr(servers.servers) + "".join(path.read_text(errors="replace") for path in logs.iterdir())
    for server in servers.servers:
        assert server.process is not None
        for process in (psutil.Process(server.process.pid), *psutil.Process(server.process.pid).children()):
            shown += " ".join(process.cmdline())
    assert not [password for password in passwords if str(password) in shown]


def test_databases_are_made_and_dropped(servers: Infrastructure) -> None:
    url = create_database(servers, "stage01_users")
    assert url == database_url(servers.postgres_url, "stage01_users")
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("select current_database()").fetchone() == ("stage01_users",)
        with pytest.raises(HarnessError, match=r"stage01_users cannot be created: .* already exists"):
            create_database(servers, "stage01_users")
        # In spite of the open connection.
        drop_database(servers, "stage01_users")
    drop_database(servers, "stage01_users")
    with psycopg.connect(servers.postgres_url) as connection:
        names = connection.execute("select datname from pg_database").fetchall()
    assert ("stage01_users",) not in names


@pytest.mark.parametrize("name", ["", "Users", "1users", "users; drop database postgres", 'a"b', "x" * 64, "a-b"])
def test_other_names_are_no_databases(servers: Infrastructure, name: str) -> None:
    with pytest.raises(ValueError, match="not a database name"):
        create_database(servers, name)


def test_what_runs_is_not_started_again(servers: Infrastructure) -> None:
    before = [server.process and server.process.pid for server in servers.servers]
    servers.ensure(*Component)
    assert [server.process and server.process.pid for server in servers.servers] == before


@pytest.mark.parametrize("how", ["in order", "after a kill"])
def test_restart_keeps_data_and_address(servers: Infrastructure, how: str) -> None:
    topic = f"kept-{how.replace(' ', '-')}"
    _create_topic(servers.kafka_bootstrap, topic)
    assert _produce(servers.kafka_bootstrap, topic, b"before") == 0
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute("create table if not exists kept (word text)")
        connection.execute("insert into kept values (%s)", (how,))
    with redis.Redis.from_url(servers.redis_url) as client:
        client.set(how, "kept")
    before = {server.component: (server.url, server.process and server.process.pid) for server in servers.servers}

    for server in servers.servers:
        if how == "in order":
            servers.restart(server.component)
        else:
            assert server.process is not None
            server.process.kill()
            servers.ensure(server.component)

    for server in servers.servers:
        url, pid = before[server.component]
        assert server.url == url
        assert server.process is not None
        assert server.process.pid != pid
    with psycopg.connect(servers.postgres_url) as connection:
        assert connection.execute("select count(*) from kept where word = %s", (how,)).fetchone() == (1,)
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        assert client.get(how) == "kept"
    assert _produce(servers.kafka_bootstrap, topic, b"after") == 1
    assert _consume(servers.kafka_bootstrap, topic, 2) == [b"before", b"after"]
