-- A journal of version 3, as the version before leases of keys left it: that of version 2 upgraded, a place of a value and
-- a delete that was left open.
CREATE TABLE account (id TEXT PRIMARY KEY, base_url TEXT, user_id INTEGER);
INSERT INTO "account" VALUES('64d69e6bfa04c929',NULL,NULL);
INSERT INTO "account" VALUES('another-account0',NULL,NULL);
CREATE TABLE alias (digest TEXT PRIMARY KEY, account TEXT NOT NULL);
INSERT INTO "alias" VALUES('64d69e6bfa04c929','64d69e6bfa04c929');
INSERT INTO "alias" VALUES('another-account0','another-account0');
CREATE TABLE answered (nonce TEXT PRIMARY KEY, at REAL NOT NULL);
INSERT INTO "answered" VALUES('nonce-1',1790000003.0);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, hash TEXT NOT NULL);
INSERT INTO "audit" VALUES(1,'{"kind":"begin","time":"2026-09-22T14:13:20.000Z","account":"64d69e6bfa04c929","tool":"create_api_key","arguments":{"name":"saved"}}','1fa58e42355c3ea9bbd67457b1c77b9f21f8df32caa3db3315b39d4c0b821b72');
INSERT INTO "audit" VALUES(2,'{"kind":"end","time":"2026-09-22T14:13:21.000Z","call":1,"tool":"create_api_key","outcome":"ok","key_id":9,"key_name":"saved"}','4d93df594890cc26a408735c1f0947de2b01df4beef9b2ea14731421611c5b08');
CREATE TABLE granted (
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    operation TEXT NOT NULL
);
INSERT INTO "granted" VALUES('64d69e6bfa04c929',1790000009.0,1,500000,'0000000000000009');
CREATE TABLE key_lease (
    account TEXT NOT NULL, key_id INTEGER NOT NULL, holder TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (account, key_id)
);
INSERT INTO "key_lease" VALUES('64d69e6bfa04c929',9,'server-1',1790000026.0);
CREATE TABLE operation (
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    spec TEXT NOT NULL,
    extra TEXT,
    begun REAL NOT NULL,
    watermark TEXT NOT NULL,
    holder TEXT NOT NULL,
    lease_until REAL NOT NULL,
    accepted INTEGER NOT NULL,
    disconnected INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    key_id INTEGER,
    key_created INTEGER,
    old TEXT,
    old_id INTEGER,
    target TEXT
);
INSERT INTO "operation" VALUES('0000000000000009','64d69e6bfa04c929','create','stored','{"name":"saved","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}',NULL,1790000009.0,'[100, 1789999995, 0]','',0.0,0,0,1,9,1790000009,NULL,NULL,NULL);
INSERT INTO "operation" VALUES('000000000000000c','64d69e6bfa04c929','create','released','{"name":"deleted","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}',NULL,1790000012.0,'[100, 1789999995, 0]','',0.0,0,0,0,12,1790000012,NULL,NULL,NULL);
INSERT INTO "operation" VALUES('000000000000000f','64d69e6bfa04c929','rotate','retired','{"name":"rotated","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}',NULL,1790000015.0,'[100, 1789999995, 0]','',0.0,0,0,1,15,1790000015,'[501, 1790000000, "grace", 1790086400, 0]',501,NULL);
INSERT INTO "operation" VALUES('00000000000000c1','64d69e6bfa04c929','change','outcome_unknown','{"name":"changed","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":null,"group":"","cross_group_retry":false}',NULL,1790000020.0,'[0, 0, 0]','server-1',0.0,0,0,0,9,1790000009,NULL,NULL,'[500000, 250000, 0, null]');
INSERT INTO "operation" VALUES('00000000000000d1','64d69e6bfa04c929','delete','pending','{"name":"deleting","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":null,"group":"","cross_group_retry":false}',NULL,1790000021.0,'[0, 0, 0]','server-1',0.0,0,0,0,10,1790000010,NULL,NULL,NULL);
CREATE TABLE place (
    account TEXT NOT NULL, key_id INTEGER NOT NULL, key_created INTEGER NOT NULL, path TEXT NOT NULL,
    variable TEXT NOT NULL,
    PRIMARY KEY (account, key_id, key_created, path, variable)
);
INSERT INTO "place" VALUES('64d69e6bfa04c929',9,1790000009,'/home/ann/shop/.env','COMETAPI_KEY');
CREATE TABLE reveal (account TEXT NOT NULL, at REAL NOT NULL);
INSERT INTO "reveal" VALUES('64d69e6bfa04c929',1790000001.0);
INSERT INTO "reveal" VALUES('64d69e6bfa04c929',1790000002.0);
CREATE TABLE share (
    origin TEXT NOT NULL, server TEXT NOT NULL, calls INTEGER NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (origin, server, until)
);
INSERT INTO "share" VALUES('https://api.cometapi.com','server-1',60,1790000230.0);
INSERT INTO "share" VALUES('https://api.cometapi.com','server-2',12,1790000240.0);
CREATE UNIQUE INDEX one_account ON account (base_url, user_id) WHERE user_id IS NOT NULL;
CREATE INDEX rotation_of ON operation (account, old_id) WHERE old_id IS NOT NULL;
CREATE INDEX granted_of ON granted (account, at);
CREATE INDEX granted_for ON granted (operation);
CREATE UNIQUE INDEX claimed ON operation (account, key_id, key_created)
    WHERE key_id IS NOT NULL AND kind IN ('create', 'rotate') AND state != 'released';
CREATE INDEX open_operation ON operation (account, state)
    WHERE kind IN ('create', 'rotate') AND state NOT IN ('not_done', 'released')
    AND (NOT acknowledged OR state IN ('abandoned', 'unstored'));
CREATE INDEX operation_of_key ON operation (account, key_id) WHERE kind IN ('change', 'delete');
CREATE INDEX open_change ON operation (account, begun)
    WHERE kind = 'change' AND state IN ('pending', 'outcome_unknown');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit',2);
PRAGMA user_version = 3;
