// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Bonds} from "./Bonds.sol";
import {Cash} from "./Cash.sol";
import {Community} from "./Community.sol";
import {commitmentOf, hashAnchor, hashGate, hashPost} from "./Hashing.sol";
import {Lanes} from "./Lanes.sol";
import {Operated} from "./Operated.sol";
import {Purse} from "./Purse.sol";
import {Anchor, Post} from "./Records.sol";

/// @notice What is fixed when a settlement is created. Times are in seconds.
struct Terms {
    /// Base units of the asset in one lane unit.
    uint256 laneUnit;
    /// Length of a slot.
    uint64 slotSeconds;
    /// How much later than multiples of that slots start: half an hour, say, for hourly slots in a time zone that is
    /// half an hour off. One offset for all slots, so that no two overlap.
    uint64 slotOffset;
    /// Time for objections to a post.
    uint32 window;
    /// Time to finalise after the window.
    uint32 grace;
    /// Time to answer what a member demands within the window.
    uint32 answerTime;
    /// How long after its end a slot can be corrected.
    uint32 corrections;
    /// Lane units that the sender of a post stakes on it; 0 = nothing.
    uint64 bond;
    /// The contract that judges proofs of faults.
    address disputes;
    /// The contract that judges answers to what was demanded.
    address demands;
}

/// @title Settlement of a local electricity market
/// @notice Holds the members' money and moves it once per slot, netted per member.
///
/// The way of a slot: a quorum of operators signs its orders and trades and one of them `commit`s them before delivery;
/// after the slot a quorum signs a `Post` (what each member pays and receives, and the roots that prove it); once the
/// window has passed anybody may `finalise` it, and only then balances change. Until then whoever proves a fault to
/// `disputes`, or waits in vain for an answer in `demands`, has the post deleted, and is credited from the bond of the
/// operator who sent it. A post that nobody finalised within the grace period has expired. What meters tell later
/// corrects the slot: a revision is posted and finalised like the first post, and moves the difference.
///
/// A post may carry a `lock`: only who shows the key that it is the hash of finalises it; and an `until` after which it
/// has expired. By these two posts of two communities become final together.
/// At the end of a period a quorum signs the root of its bills, which is anchored once and for all.
///
/// The asset that is held is worth (sum of balances + sum of bonds + forfeited) lane units.
///
/// Units: a slot is the start of its interval in unix seconds (UTC). Balances, deltas and withdrawals are in lane
/// units; one lane unit is `laneUnit` base units of the asset. Positive = credited to the member.
contract Settlement is EIP712, Purse, Bonds {
    using Lanes for Lanes.Book;

    struct Posting {
        /// EIP-712 digest of the post; it binds slot, revision, roots and deltas.
        bytes32 digest;
        /// Unix seconds.
        uint40 postedAt;
        /// Unix seconds until which a dispute keeps the post from being final; zero = none does.
        uint40 heldUntil;
        bool finalised;
        /// Who sent the post, and stands for it with its bond.
        address poster;
    }

    /// @notice Length of a slot in seconds.
    uint64 public immutable slotSeconds;
    /// @notice Seconds by which slots start later than multiples of `slotSeconds`.
    uint64 public immutable slotOffset;
    /// @notice Seconds between a post and the first moment at which it can be finalised.
    uint32 public immutable window;
    /// @notice Seconds after the window in which a post can be finalised.
    uint32 public immutable grace;
    /// @notice Seconds to answer what a member demands within the window.
    uint32 public immutable answerTime;
    /// @notice Seconds after the end of a slot in which a revision of it can be posted.
    uint32 public immutable corrections;
    /// @notice The contract that judges proofs of faults.
    address public immutable disputes;
    /// @notice The contract that judges answers to what was demanded.
    address public immutable demands;

    /// @notice What was committed for a slot: keccak256(abi.encode(orders, trades)); zero = nothing.
    mapping(uint64 slot => bytes32) public commitments;
    /// @notice The latest post of each revision of a slot.
    mapping(uint64 slot => mapping(uint32 revision => Posting)) public posted;
    /// @notice Root of the bills of the period from `start` to `until` (unix seconds); zero = none was anchored.
    mapping(uint64 start => mapping(uint64 until => bytes32)) public anchored;

    event Committed(uint64 indexed slot, bytes32 orders, bytes32 trades);
    event Posted(uint64 indexed slot, uint32 indexed revision, bytes32 orders, bytes32 statements, bytes32 deltas);
    event Held(uint64 indexed slot, uint32 indexed revision, uint256 until);
    /// @notice A fault was proved and the post deleted. `reward`: lane units credited to whoever proved it.
    event Struck(uint64 indexed slot, uint32 indexed revision, address poster, address prover, uint64 reward);
    event PostExpired(uint64 indexed slot, uint32 indexed revision);
    event Finalised(uint64 indexed slot, uint32 indexed revision);
    /// @notice A post is final only with the key of `lock` (zero: with none) and not after `until` (zero: no such end).
    event Locked(uint64 indexed slot, uint32 indexed revision, bytes32 lock, uint64 until);
    /// @notice The key of a post that became final; it opens what is locked alike elsewhere.
    event Unlocked(uint64 indexed slot, uint32 indexed revision, bytes32 key);
    /// @notice The bills of a period stand. Periods may overlap: whoever relies on a bill looks here for others that
    /// cover the same time.
    event Anchored(uint64 indexed start, uint64 indexed until, bytes32 bills);

    /// @notice A lane unit, a slot and the grace period must be longer than nothing, the offset shorter than a slot, and
    /// whoever has time to object leaves time to answer.
    error InvalidTerms(Terms terms);
    /// @notice Only the contracts that judge objections may do this.
    error NotAJudge(address caller);
    /// @notice Nothing to commit.
    error EmptyCommitment(uint64 slot);
    /// @notice A post carries a delta of at least one member.
    error EmptyBatch(uint64 slot, uint32 revision);
    /// @notice The post is not there or has not expired.
    error NotExpired(uint64 slot, uint32 revision);
    /// @notice Objections to the post had to come before this time (unix seconds).
    error WindowOver(uint64 slot, uint32 revision, uint256 end);
    /// @notice Slots start `slotOffset` after multiples of `slotSeconds`.
    error SlotMisaligned(uint64 slot, uint64 slotSeconds);
    /// @notice Orders and trades are committed before the slot starts.
    error SlotStarted(uint64 slot);
    /// @notice A slot is committed once.
    error AlreadyCommitted(uint64 slot);
    /// @notice A slot is posted from this time on (unix seconds).
    error SlotNotOver(uint64 slot, uint256 end);
    /// @notice Orders and trades are not the committed ones; `committed` is zero when nothing was.
    error CommitmentMismatch(uint64 slot, bytes32 committed, bytes32 given);
    /// @notice The deltas are not those of the post.
    error DeltasMismatch(bytes32 expected, bytes32 given);
    /// @notice The revision is final or may still become so.
    error AlreadyPosted(uint64 slot, uint32 revision);
    /// @notice A revision corrects a final one.
    error PreviousNotFinal(uint64 slot, uint32 revision);
    /// @notice This is not what was posted; `expected` is zero when nothing was.
    error NotPosted(uint64 slot, uint32 revision, bytes32 expected, bytes32 given);
    /// @notice Nothing is applied twice.
    error AlreadyFinal(uint64 slot, uint32 revision);
    /// @notice The window is open until this time (unix seconds).
    error NotYetFinal(uint64 slot, uint32 revision, uint256 finalFrom);
    /// @notice A revision of the slot could be posted until this time (unix seconds).
    error CorrectionsOver(uint64 slot, uint256 end);
    /// @notice A post that ends before its window could never be final.
    error EndsTooEarly(uint64 slot, uint32 revision, uint64 until, uint256 finalFrom);
    /// @notice The key does not open the post's lock.
    error WrongKey(uint64 slot, uint32 revision, bytes32 lock);
    /// @notice The post could be finalised until this time (unix seconds).
    error Expired(uint64 slot, uint32 revision, uint256 finalUntil);
    /// @notice A period starts before it ends, and the root of its bills is not zero.
    error InvalidAnchor(uint64 start, uint64 until, bytes32 bills);
    /// @notice The period's bills were anchored; `bills` is the root that stands.
    error AlreadyAnchored(uint64 start, uint64 until, bytes32 bills);

    /// @param community_ whose members hold balances and whose operators sign
    /// @param asset_ ERC-20 token; the zero address for ether
    /// @param terms what is fixed
    constructor(Community community_, IERC20 asset_, Terms memory terms)
        EIP712("Commonwatt", "1")
        Cash(asset_, terms.laneUnit)
        Bonds(terms.bond)
        Operated(community_)
    {
        bool lasting =
            terms.laneUnit != 0 && terms.slotOffset < terms.slotSeconds && terms.grace != 0;
        require(lasting && (terms.window == 0 || terms.answerTime != 0), InvalidTerms(terms));
        slotSeconds = terms.slotSeconds;
        slotOffset = terms.slotOffset;
        window = terms.window;
        grace = terms.grace;
        answerTime = terms.answerTime;
        corrections = terms.corrections;
        disputes = terms.disputes;
        demands = terms.demands;
    }

    // ------------------------------------------------------------------------------------------- the way of one slot

    /// @notice Binds the operators to orders and trades of consecutive slots, before delivery.
    /// @param firstSlot start of the first slot
    /// @param orders root of the orders of each slot
    /// @param trades root of the trades of each slot
    /// @param signatures of at least `threshold` operators over the `Gate` of these roots, ascending by signer
    function commit(uint64 firstSlot, bytes32[] calldata orders, bytes32[] calldata trades, bytes[] calldata signatures)
        external
        onlyOperator
    {
        require(orders.length == trades.length, LengthMismatch(orders.length, trades.length));
        require(orders.length != 0, EmptyCommitment(firstSlot));
        require(firstSlot % slotSeconds == slotOffset, SlotMisaligned(firstSlot, slotSeconds));
        require(block.timestamp < firstSlot, SlotStarted(firstSlot));
        community.requireQuorum(_hashTypedDataV4(hashGate(firstSlot, orders, trades)), signatures);
        uint64 slot = firstSlot;
        for (uint256 i = 0; i < orders.length; ++i) {
            require(commitments[slot] == 0, AlreadyCommitted(slot));
            commitments[slot] = commitmentOf(orders[i], trades[i]);
            emit Committed(slot, orders[i], trades[i]);
            slot += slotSeconds;
        }
    }

    /// @notice Publishes what a slot costs and earns each member. Only operators may, since signatures stay valid: an
    /// outsider could otherwise put an expired post back into the place of its correction.
    /// @param p the post
    /// @param trades root of the trades as committed
    /// @param deltas packed changes of the balances (see Lanes), in calldata for everybody to see
    /// @param signatures of at least `threshold` operators over the post, ascending by signer
    function post(Post calldata p, bytes32 trades, bytes calldata deltas, bytes[] calldata signatures)
        external
        onlyOperator
    {
        _requirePostable(p, trades);
        require(deltas.length != 0, EmptyBatch(p.slot, p.revision));
        _requireDeltas(p, deltas);
        Lanes.check(deltas, community.memberCount());
        bytes32 digest = _digest(p);
        community.requireQuorum(digest, signatures);

        // An expired post gives way.
        if (posted[p.slot][p.revision].digest != 0) _unbind(posted[p.slot][p.revision].poster);
        _bind(msg.sender);
        posted[p.slot][p.revision] = Posting(digest, uint40(block.timestamp), 0, false, msg.sender);
        emit Posted(p.slot, p.revision, p.orders, p.statements, p.deltas);
        if (p.lock != 0 || p.until != 0) emit Locked(p.slot, p.revision, p.lock, p.until);
    }

    /// @notice Applies a post after its window. Anybody may.
    /// @param p the post
    /// @param deltas as posted
    /// @param key opens the post's lock; of one without a lock it says nothing
    function finalise(Post calldata p, bytes calldata deltas, bytes32 key) external {
        _finalise(p, deltas, key);
    }

    /// @notice Applies posts after their windows, in this order, all or none. Anybody may. A slot's correction costs little
    /// beside another slot that becomes final: balances that both move are read and written once.
    /// @param posts of one or more slots
    /// @param deltas of each, as posted
    /// @param keys of each, see `finalise`
    function finaliseAll(Post[] calldata posts, bytes[] calldata deltas, bytes32[] calldata keys) external {
        require(deltas.length == posts.length, LengthMismatch(posts.length, deltas.length));
        require(keys.length == posts.length, LengthMismatch(posts.length, keys.length));
        for (uint256 i = 0; i < posts.length; ++i) {
            _finalise(posts[i], deltas[i], keys[i]);
        }
    }

    /// @notice Clears away an expired post, so that it no longer binds its sender's stake. Anybody may, but not while it is
    /// held: what was demanded of it can still delete it.
    function expire(Post calldata p) external {
        Posting storage posting = _pending(p);
        uint256 end = _end(_finalFrom(posting), p.until);
        bool over = block.timestamp > end && block.timestamp > posting.heldUntil;
        require(over, NotExpired(p.slot, p.revision));
        _unbind(posting.poster);
        delete posted[p.slot][p.revision];
        emit PostExpired(p.slot, p.revision);
    }

    /// @notice Keeps a post from being final until what was demanded is answered and the answer can be objected to.
    /// @param p the post, within its window
    /// @return digest of the post
    /// @return postedAt time of the post (unix seconds)
    /// @return first whether nothing held it before
    function hold(Post calldata p) external returns (bytes32 digest, uint40 postedAt, bool first) {
        require(msg.sender == demands, NotAJudge(msg.sender));
        Posting storage posting = _pending(p);
        (digest, postedAt, first) = (posting.digest, posting.postedAt, posting.heldUntil == 0);
        uint256 end = uint256(postedAt) + window;
        require(block.timestamp < end, WindowOver(p.slot, p.revision, end));
        // Later demands hold longer, so this only grows.
        posting.heldUntil = uint40(block.timestamp + uint256(answerTime) + window);
        emit Held(p.slot, p.revision, posting.heldUntil);
    }

    /// @notice Deletes a post that is not final. Half of its bond is the prover's from now on.
    /// @param p the post
    /// @param prover who showed the fault
    function strike(Post calldata p, address prover) external {
        require(msg.sender == disputes || msg.sender == demands, NotAJudge(msg.sender));
        address poster = _pending(p).poster;
        delete posted[p.slot][p.revision];
        uint64 reward = _forfeit(poster, prover);
        emit Struck(p.slot, p.revision, poster, prover, reward);
    }

    /// @notice Fixes the bills of a period, once: the root that stands can be neither changed nor anchored again. Only
    /// operators may, since signatures stay valid: an outsider could otherwise choose among drafts that were signed.
    ///
    /// Start and end together name a period. One that overlaps it is another period and allowed: a month's bills do not
    /// forbid a year's. Two roots may therefore cover the same hour, but both show as `Anchored`.
    /// @param period start and end, and the root of the bills
    /// @param signatures of at least `threshold` operators over the anchor, ascending by signer
    function anchor(Anchor calldata period, bytes[] calldata signatures) external onlyOperator {
        (uint64 start, uint64 until, bytes32 bills) = (period.start, period.until, period.bills);
        // A root of zero would read as none, and could be followed by another.
        require(start < until && bills != 0, InvalidAnchor(start, until, bills));
        bytes32 standing = anchored[start][until];
        require(standing == 0, AlreadyAnchored(start, until, standing));
        community.requireQuorum(_hashTypedDataV4(hashAnchor(period)), signatures);

        anchored[start][until] = bills;
        emit Anchored(start, until, bills);
    }

    // --------------------------------------------------------------------------------------------------------- parts

    function _finalise(Post calldata p, bytes calldata deltas, bytes32 key) private {
        Posting storage posting = _pending(p);
        uint256 finalFrom = _finalFrom(posting);
        uint256 end = _end(finalFrom, p.until);
        require(block.timestamp >= finalFrom, NotYetFinal(p.slot, p.revision, finalFrom));
        require(block.timestamp <= end, Expired(p.slot, p.revision, end));
        _requireDeltas(p, deltas);
        if (p.lock != 0) {
            require(keccak256(abi.encode(key)) == p.lock, WrongKey(p.slot, p.revision, p.lock));
            emit Unlocked(p.slot, p.revision, key);
        }

        posting.finalised = true;
        _unbind(posting.poster);
        // Length and sum of these very deltas were checked by `post`; members are never fewer.
        _book.applyAll(deltas);
        emit Finalised(p.slot, p.revision);
    }

    function _requirePostable(Post calldata p, bytes32 trades) private view {
        bytes32 given = commitmentOf(p.orders, trades);
        bytes32 committed = commitments[p.slot];
        require(given == committed, CommitmentMismatch(p.slot, committed, given));
        uint256 end = uint256(p.slot) + slotSeconds;
        require(block.timestamp >= end, SlotNotOver(p.slot, end));
        if (p.revision != 0) {
            require(posted[p.slot][p.revision - 1].finalised, PreviousNotFinal(p.slot, p.revision));
            require(block.timestamp <= end + corrections, CorrectionsOver(p.slot, end + corrections));
        }
        uint256 finalFrom = block.timestamp + window;
        require(p.until == 0 || p.until >= finalFrom, EndsTooEarly(p.slot, p.revision, p.until, finalFrom));
        Posting storage earlier = posted[p.slot][p.revision];
        bool gone = !earlier.finalised && block.timestamp > _end(_finalFrom(earlier), 0);
        require(earlier.digest == 0 || gone, AlreadyPosted(p.slot, p.revision));
    }

    function _requireDeltas(Post calldata p, bytes calldata deltas) private pure {
        bytes32 given = keccak256(deltas);
        require(given == p.deltas, DeltasMismatch(p.deltas, given));
    }

    function _digest(Post calldata p) private view returns (bytes32) {
        return _hashTypedDataV4(hashPost(p));
    }

    /// @dev The posting of this very post, which is not final.
    function _pending(Post calldata p) private view returns (Posting storage posting) {
        posting = posted[p.slot][p.revision];
        bytes32 digest = _digest(p);
        require(posting.digest == digest, NotPosted(p.slot, p.revision, posting.digest, digest));
        require(!posting.finalised, AlreadyFinal(p.slot, p.revision));
    }

    /// @dev First second at which a post can be finalised.
    function _finalFrom(Posting storage posting) private view returns (uint256) {
        uint256 end = uint256(posting.postedAt) + window;
        return posting.heldUntil > end ? posting.heldUntil : end;
    }

    /// @dev Last second at which a post can be finalised.
    /// @param finalFrom the first one
    /// @param until the post's own end; zero = none
    function _end(uint256 finalFrom, uint64 until) private view returns (uint256 end) {
        end = finalFrom + grace;
        if (until != 0 && until < end) end = until;
    }

    /// @dev By then every post made before is final or gone, however long it was held by a demand.
    function _withdrawalTime() internal view override returns (uint256) {
        return uint256(window) + answerTime + window + grace;
    }
}
