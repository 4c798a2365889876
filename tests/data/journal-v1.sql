-- A journal of version 1, as the release before operations left it: its schema, and an intent of every phase.
-- Ids of keys are the intents' own; the account is the digest of https://api.cometapi.com and the token "token-1".
CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    body TEXT NOT NULL,
    newest_before INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    begun REAL NOT NULL,
    phase TEXT NOT NULL,
    key_id INTEGER,
    key_created INTEGER,
    rotation INTEGER,
    given_up INTEGER NOT NULL DEFAULT 0,
    owner TEXT NOT NULL
);
CREATE UNIQUE INDEX claim ON intent (account, key_id, key_created) WHERE key_id IS NOT NULL;
CREATE UNIQUE INDEX one_new_key ON intent (rotation) WHERE rotation IS NOT NULL AND phase != 'closed';
CREATE INDEX open_intent ON intent (account, phase) WHERE phase NOT IN ('saved', 'closed');
CREATE TABLE rotation (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    old_id INTEGER NOT NULL,
    old_created INTEGER NOT NULL,
    body TEXT NOT NULL,
    old_key TEXT NOT NULL,
    old_until INTEGER NOT NULL,
    begun REAL NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX open_rotation ON rotation (account, old_id, old_created) WHERE NOT done;
CREATE TABLE reveal (account TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE answered (nonce TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at REAL NOT NULL,
    keys INTEGER NOT NULL,
    units INTEGER NOT NULL,
    intent INTEGER
);
CREATE INDEX spending_of ON spending (account, at);
CREATE INDEX spending_for ON spending (intent) WHERE intent IS NOT NULL;
INSERT INTO intent VALUES (1, '64d69e6bfa04c929', '{"name":"sent","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000001.0, 'sent', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (1, '64d69e6bfa04c929', 1790000001.0, 1, 500000, 1);
INSERT INTO intent VALUES (2, '64d69e6bfa04c929', '{"name":"accepted","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000002.0, 'accepted', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (2, '64d69e6bfa04c929', 1790000002.0, 1, 500000, 2);
INSERT INTO intent VALUES (3, '64d69e6bfa04c929', '{"name":"unclear","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000003.0, 'unclear', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (3, '64d69e6bfa04c929', 1790000003.0, 1, 500000, 3);
INSERT INTO intent VALUES (4, '64d69e6bfa04c929', '{"name":"unlisted","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000004.0, 'unlisted', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (4, '64d69e6bfa04c929', 1790000004.0, 1, 500000, 4);
INSERT INTO intent VALUES (5, '64d69e6bfa04c929', '{"name":"lost","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000005.0, 'lost', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (5, '64d69e6bfa04c929', 1790000005.0, 1, 500000, 5);
INSERT INTO intent VALUES (6, '64d69e6bfa04c929', '{"name":"missing","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000006.0, 'missing', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (6, '64d69e6bfa04c929', 1790000006.0, 1, 500000, 6);
INSERT INTO intent VALUES (7, '64d69e6bfa04c929', '{"name":"claimed","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000007.0, 'claimed', 7, 1790000007, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (7, '64d69e6bfa04c929', 1790000007.0, 1, 500000, 7);
INSERT INTO intent VALUES (8, '64d69e6bfa04c929', '{"name":"unsaved","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000008.0, 'unsaved', 8, 1790000008, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (8, '64d69e6bfa04c929', 1790000008.0, 1, 500000, 8);
INSERT INTO intent VALUES (9, '64d69e6bfa04c929', '{"name":"saved","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000009.0, 'saved', 9, 1790000009, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (9, '64d69e6bfa04c929', 1790000009.0, 1, 500000, 9);
INSERT INTO intent VALUES (10, '64d69e6bfa04c929', '{"name":"undelivered","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000010.0, 'undelivered', 10, 1790000010, NULL, 1, 'host:4711');
INSERT INTO spending VALUES (10, '64d69e6bfa04c929', 1790000010.0, 1, 500000, 10);
INSERT INTO intent VALUES (11, '64d69e6bfa04c929', '{"name":"closed","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000011.0, 'closed', NULL, NULL, NULL, 0, 'host:4711');
INSERT INTO spending VALUES (11, '64d69e6bfa04c929', 1790000011.0, 1, 500000, 11);
INSERT INTO intent VALUES (12, '64d69e6bfa04c929', '{"name":"deleted","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000012.0, 'closed', 12, 1790000012, NULL, 0, 'host:4711');
INSERT INTO intent VALUES (13, '64d69e6bfa04c929', '{"name":"sent and given up","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000013.0, 'sent', NULL, NULL, NULL, 1, 'host:4711');
INSERT INTO intent VALUES (14, '64d69e6bfa04c929', '{"name":"unsaved and given up","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000014.0, 'unsaved', 14, 1790000014, NULL, 1, 'host:4711');
INSERT INTO rotation VALUES (1, '64d69e6bfa04c929', 501, 1790000000, '{"name":"rotated","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 'grace', 1790086400, 1790000015.0, 1);
INSERT INTO intent VALUES (15, '64d69e6bfa04c929', '{"name":"rotated","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000015.0, 'saved', 15, 1790000015, 1, 0, 'host:4711');
INSERT INTO rotation VALUES (2, '64d69e6bfa04c929', 502, 1790000000, '{"name":"half rotated","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 'disable', 0, 1790000016.0, 0);
INSERT INTO intent VALUES (16, '64d69e6bfa04c929', '{"name":"half rotated","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000016.0, 'saved', 16, 1790000016, 2, 0, 'host:4711');
INSERT INTO rotation VALUES (3, '64d69e6bfa04c929', 503, 1790000000, '{"name":"rotation lost","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 'delete', 0, 1790000017.0, 0);
INSERT INTO intent VALUES (17, '64d69e6bfa04c929', '{"name":"rotation lost","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 100, 1789999995, 1790000017.0, 'lost', NULL, NULL, 3, 0, 'host:4711');
INSERT INTO rotation VALUES (4, '64d69e6bfa04c929', 504, 1790000000, '{"name":"rotation unsent","expired_time":-1,"remain_quota":500000,"unlimited_quota":false,"model_limits_enabled":false,"model_limits":"","allow_ips":"","group":"","cross_group_retry":false}', 'grace', 1790086400, 1790000050.0, 0);
INSERT INTO spending VALUES (30, '64d69e6bfa04c929', 1790000060.0, 0, 250000, NULL);
INSERT INTO spending VALUES (31, 'another-account0', 1790000061.0, 1, 7, NULL);
INSERT INTO reveal VALUES ('64d69e6bfa04c929', 1790000001.0);
INSERT INTO reveal VALUES ('64d69e6bfa04c929', 1790000002.0);
INSERT INTO answered VALUES ('nonce-1', 1790000003.0);
INSERT INTO audit VALUES (1, '{"kind":"begin","time":"2026-09-22T14:13:20.000Z","account":"64d69e6bfa04c929","tool":"create_api_key","arguments":{"name":"saved"}}', '1fa58e42355c3ea9bbd67457b1c77b9f21f8df32caa3db3315b39d4c0b821b72');
INSERT INTO audit VALUES (2, '{"kind":"end","time":"2026-09-22T14:13:21.000Z","call":1,"tool":"create_api_key","outcome":"ok","key_id":9,"key_name":"saved"}', '4d93df594890cc26a408735c1f0947de2b01df4beef9b2ea14731421611c5b08');
PRAGMA user_version = 1;
