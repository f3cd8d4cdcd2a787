-- Drops the kept messages of a group; its position stays.
-- KEYS: hash, stream.
redis.call('DEL', KEYS[2])
redis.call('HDEL', KEYS[1], 'c', 'f')
return 1
