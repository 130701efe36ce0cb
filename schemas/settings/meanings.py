"""Meaning of each setting: for docs/settings.md and, through the JSON Schema, for editors.

A key without a line here fails a test; so does a line without a key.
"""

MEANINGS: dict[str, str] = {
    "broker.bootstrap": "Kafka's address as host:port, several with commas",
    "broker.security_protocol": "protocol to the brokers: SSL for TLS, SASL_* for authentication",
    "broker.sasl_mechanism": "mechanism of the authentication; PLAIN only under SASL_SSL",
    "broker.user": "user of the brokers, for SASL",
    "broker.password": "password for `broker.user`",
    "broker.ca": "PEM file: authority of the brokers' certificates; default: those of the system",
    "broker.certificate": "PEM file: client certificate, where brokers require one",
    "broker.key": "PEM file: the key of `broker.certificate`",
    "broker.key_password": "password of `broker.key`, if it is encrypted",
    "broker.properties": (
        "librdkafka's properties by their dotted names; they override ordertide's own defaults, "
        "except those that its guarantees rest on"
    ),
    "broker.embedded": "the broker inside this process's client library: demo and tests only",
    "track.clock": "`broker`: append times; `recorded`: history that brings its own clock",
    "track.folder": "folder of the dataflow's state and its recovery pointers",
    "track.workers": "worker processes of the dataflow, on each host; 16 at most in all",
    "track.hosts": "addresses of the hosts' workers; without it this host alone",
    "track.host": "number of this host in `hosts`, from 0; host 0 coordinates",
    "track.group": "consumer group under which the usual tools show the dataflow's positions",
    "track.epoch_ms": "length of an epoch under little load",
    "track.margin_ms": "allowed difference between the clocks of two brokers",
    "track.recorded_ahead": (
        "a recorded time this far ahead of all others advances the watermark once they come near it"
    ),
    "track.rules": "the rules file; without it the shipped rules",
    "track.lifecycle": "the lifecycle file; without it the shipped statuses",
    "state.store": "`folder`: in `track.folder`; `s3`: in a bucket too, for any host to resume",
    "state.bucket": "the bucket, which must exist",
    "state.prefix": "prefix of the names of all objects; one for each installation",
    "state.endpoint": "the address of the object store; without it AWS",
    "state.region": "its region; without it `us-east-1`",
    "state.access_key": "without it AWS_ACCESS_KEY_ID, a web identity or the host's role",
    "state.secret_key": "the secret that belongs to the access key",
    "state.session_token": "session token of temporary credentials",
    "hot.url": "Redis: redis://, rediss:// or unix://",
    "hot.user": "Redis's user (ACL); without it the default user",
    "hot.password": "the user's password",
    "hot.ca": "PEM file: authority of Redis's certificate; needs a rediss:// URL",
    "hot.certificate": "PEM file: client certificate, where Redis requires one",
    "hot.key": "PEM file: the key of `hot.certificate`",
    "hot.cluster": "true for a Redis Cluster; `hot.url` then names one of its nodes",
    "hot.nodes": "more nodes of the cluster, for a start while the one in `hot.url` is down",
    "hot.replicas": "replicas that must have a batch before its offsets are committed",
    "hot.prefix": "prefix of every key in Redis",
    "hot.keep": "retention of an order after its last change, on the stream clock",
    "warm.url": "Elasticsearch: http:// or https://; without it the warm store is SQLite",
    "warm.api_key": "an API key for Elasticsearch, in its encoded form",
    "warm.user": "or Elasticsearch's user",
    "warm.password": "password for `warm.user`",
    "warm.ca": "PEM file: authority of Elasticsearch's certificate; needs an https:// URL",
    "warm.prefix": "prefix of the names of indices and templates in Elasticsearch",
    "warm.folder": "folder of SQLite's periods, where `warm.url` is not set",
    "warm.keep": "retention of a period, on the stream clock",
    "archive.folder": "folder of the Parquet files",
    "archive.webhdfs": "HDFS: the NameNodes' WebHDFS addresses; then `folder` is absolute, on HDFS",
    "archive.namenodes": "HDFS: the same NameNodes' RPC addresses, in the same order",
    "archive.user": "HDFS: owner of the files",
    "archive.seal_rows": "rows at which a file is sealed",
    "archive.seal_after": "age at which a file is sealed",
    "archive.compact": "the writer merges the small files of days that have ended",
    "archive.keep_replaced": "how long merged files are kept for readers that hold them",
    "privacy.keys": "the file of wrapped keys that seal personal data; back it up",
    "telemetry.host": "address of /metrics, /healthz and /readyz",
    "telemetry.port": "their port; 0 is any free one",
    "telemetry.logs": "`json`, `text`, or `auto`: text on a terminal, JSON lines elsewhere",
    "telemetry.level": "log level: debug, info, warning, error",
    "telemetry.prometheus": "Prometheus's address: `ordertide doctor` checks its targets",
    "telemetry.targets": "folder in which a process registers its address, for a file_sd_config",
    "tiers.lookup": "the tiers that look-ups ask, in this order",
    "tiers.options": "options of a plug-in tier, by dotted names that begin with the tier's",
    "delivery.channel": "receiver of order alerts: `alertmanager`, `webhook` or a plug-in's",
    "delivery.url": "the channel's address",
    "delivery.token": "a bearer token for it",
    "delivery.ca_file": "PEM file with the authority of its certificate; without it the system's",
    "delivery.group": "the consumer group; default: ordertide-deliver- and the channel",
    "delivery.renew": (
        "interval at which an open alert is posted again; default: never for a webhook, else `1m`"
    ),
    "delivery.hold": "time for which the channel keeps an alert open without a renewal",
    "delivery.link": "link of each alert (`generatorURL`); may name {tenant} and {order_id}",
    "delivery.language": "language of an alert's sentences, in `lookup` too: `en` or `zh`",
    "act.folder": "folder of the action worker's outbox",
    "act.group": "consumer group of the action worker; its lease is named after it",
    "act.actions": "the file of receivers and kinds of actions; without it all go to the log",
    "act.secret": "secrets of receivers by name: ORDERTIDE_ACT_SECRET_DESK is that of `desk`",
    "act.private": "hosts and networks, with commas, that receivers may have in private networks",
    "poll.folder": "folder of the poller's memory: when each parcel was last asked for",
    "poll.group": "name of the poller's lease: of several processes one asks",
    "poll.carriers": "options of polled accounts, by names like `kuaidi100.main.rate`",
    "poll.intervals": 'time between two requests for a parcel, by status: `IN_TRANSIT = "30m"`',
    "serve.host": "address of the gateway; one that others reach needs TLS or `behind_proxy`",
    "serve.port": "its port; 0 is any free one",
    "serve.parts": "what it serves: `api`, `board`, `callbacks`",
    "serve.folder": "folder of the installation's secret and the administrator's key; private",
    "serve.public_url": "the address that browsers use, where it isn't that of each request",
    "serve.behind_proxy": "networks of proxies whose X-Forwarded-For is believed, with commas",
    "serve.tls_certificate": "PEM file: the gateway's certificate, with its chain",
    "serve.tls_key": "PEM file: the key of `serve.tls_certificate`",
    "serve.limits": (
        'rates of a caller by class: `query = "200 per 2 second"`, '
        '`callback = "1000 per 5 second, 100 at once"`'
    ),
    "serve.carriers": "options of carriers' accounts, by names like `sf.main.answer`",
    "serve.commands": 'statuses that a party may set, by role: `customer = "RETURN_REQUESTED"`',
    "serve.title": "name of the shop on the customer's page",
    "serve.contact": "where the customer's page sends questions: a mail address or an address",
    "serve.zone": "time zone in which pages show times, like `America/Sao_Paulo`",
    "serve.examples": (
        "links that the board offers to try, for a demonstration: addresses of its pages by "
        "`late`, `cold`, `split`, `returned`, `silent`, `share`"
    ),
    "map.tiles": (
        "tiles behind the route of an order: `osm`, `amap`, `google`, or an address like "
        "`https://tiles.example.com/{z}/{x}/{y}.png?key={key}`; without it outlines of land, "
        "and no request leaves the installation"
    ),
    "map.api_key": "key of the tiles, for `{key}`; browsers get it: restrict it to your domain",
    "map.attribution": "whose tiles they are, shown on the map; an address needs it",
    "map.datum": "datum of the tiles of an address: `WGS84` (default), or `GCJ02` as in China",
    "map.max_zoom": "largest zoom at which there are tiles; default: the provider's, else 18",
    "oidc.issuer": "OpenID Connect issuer that people sign in with; without it keys alone do",
    "oidc.client_id": "our client there; its redirect address is `…/sign-in/oidc/callback`",
    "oidc.client_secret": "secret of the client; none for a public client",
    "oidc.audience": "audience of tokens that the API takes; without it the API takes keys alone",
    "oidc.scope": "scopes that a sign-in asks for; `openid` is among them",
    "oidc.claims": (
        "claims by what they hold (`role`, `tenant`, `customer`, `supplier`, `carrier`, `name`); "
        'with dots inside objects: `role = "realm_access.roles"`'
    ),
    "oidc.roles": (
        'our role by a value of the claim, `"Logistics Team" = "operator"`; all others are then '
        "none. Without entries the values are our roles"
    ),
    "oidc.tenant": "tenant of a token without the claim; `*`: staff sees all tenants",
    "oidc.session": "life of a session that the issuer signed in",
    "oidc.ca": "PEM file: authority of the issuer's certificate; default: those of the system",
    "delivery.options": "options of a plug-in channel, by dotted names",
}
