-- Tries each command that the other scripts use on a key and a channel of no use, and returns those that Redis does not let this user run.
-- Whether a command is allowed is checked before what it does: that the key has another type, or that there is no memory, does not matter.
-- KEYS: a key. ARGV: a channel, publish command.
local key, channel = KEYS[1], ARGV[1]
local missing = {}
local function try(...)
    local result = redis.pcall(...)
    if type(result) == 'table' and result.err
        and (string.find(result.err, 'The user executing the script') or string.find(result.err, 'ACL failure')
            or string.find(result.err, 'NOPERM') or string.find(result.err, 'nknown .*command')) then
        missing[#missing + 1] = (...)
    end
end
try('TIME')
try('INFO', 'server')
try('GET', key)
try('SET', key, '', 'PX', 1)
try('HGET', key, 'e')
try('HMGET', key, 'e')
try('HGETALL', key)
try('HLEN', key)
try('HSET', key, 'e', '')
try('HDEL', key, 'e')
try('XADD', key, '1-0', 'm', '')
try('XRANGE', key, '-', '+')
try('XTRIM', key, 'MINID', '1')
try('SADD', key, '')
try('SREM', key, '')
try('SCARD', key)
try('SISMEMBER', key, '')
try('SMEMBERS', key)
try('ZADD', key, 1, '')
try('ZREM', key, '')
try('ZCARD', key)
try('ZSCORE', key, '')
try('ZRANGEBYSCORE', key, '-inf', '+inf')
try('ZREMRANGEBYSCORE', key, '-inf', '+inf')
try('PEXPIRE', key, 1)
try('DEL', key)
try('PUBLISH', channel, '')
if ARGV[2] ~= 'PUBLISH' then
    try(ARGV[2], channel, '')
end
return missing
