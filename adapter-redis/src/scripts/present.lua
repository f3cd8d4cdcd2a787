-- Who is in a group.
-- KEYS: hash, users. ARGV: whether names are wanted ('1').
local version = tonumber(redis.call('HGET', KEYS[1], 'v') or 0)
local members = {}
if ARGV[1] == '1' then
    members = redis.call('HGETALL', KEYS[2])
end
return {version, redis.call('HLEN', KEYS[2]), members}
