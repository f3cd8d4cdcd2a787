-- Users are in a group on a seat, or are there no more; all who subscribed are told what changed.
-- KEYS: hash, users, users on the seat. ARGV: what is done, life of the hash in ms, channel, how to publish, then 'enter': user, metadata
-- (behind '1', or '0' alone) ...; 'exit': user ...; 'clear': nothing. A user's value is on how many seats it is, and its metadata.
local meta, users, seat = KEYS[1], KEYS[2], KEYS[3]
local joined, left, n_joined, n_left = {}, {}, 0, 0
local function known(user)
    local value = redis.call('HGET', users, user)
    if not value then
        return 0, '0'
    end
    local count, metadata = string.match(value, '^(%d+):(.*)$')
    return tonumber(count), metadata
end
local function enter(user, metadata)
    local count = known(user)
    if redis.call('SADD', seat, user) == 1 then
        count = count + 1
        if count == 1 then
            n_joined = n_joined + 1
            joined[#joined + 1] = struct.pack('>I2', #user) .. user
            if string.byte(metadata) == 49 then
                joined[#joined + 1] = '\1' .. struct.pack('>I4', #metadata - 1) .. string.sub(metadata, 2)
            else
                joined[#joined + 1] = '\0'
            end
        end
    end
    redis.call('HSET', users, user, text(count) .. ':' .. metadata)
end
local function exit(user)
    if redis.call('SREM', seat, user) == 0 then
        return
    end
    local count, metadata = known(user)
    if count > 1 then
        redis.call('HSET', users, user, text(count - 1) .. ':' .. metadata)
        return
    end
    redis.call('HDEL', users, user)
    n_left = n_left + 1
    left[#left + 1] = struct.pack('>I2', #user) .. user
end
if ARGV[1] == 'enter' then
    for i = 5, #ARGV, 2 do
        enter(ARGV[i], ARGV[i + 1])
    end
elseif ARGV[1] == 'exit' then
    for i = 5, #ARGV do
        exit(ARGV[i])
    end
else
    local all = redis.call('SMEMBERS', seat)
    table.sort(all)
    for _, user in ipairs(all) do
        exit(user)
    end
end
if n_joined + n_left > 0 then
    local version = redis.call('HINCRBY', meta, 'v', 1)
    redis.call('PEXPIRE', meta, ARGV[2])
    local payload = '\1\2' .. struct.pack('>I8I8I4', version, redis.call('HLEN', users), n_joined) .. table.concat(joined)
        .. struct.pack('>I4', n_left) .. table.concat(left)
    redis.call(ARGV[4], ARGV[3], payload)
end
return 1
