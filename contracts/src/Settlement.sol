// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

import {Community} from "./Community.sol";
import {commitmentOf, hashAnchor, hashGate, hashPost} from "./Hashing.sol";
import {Lanes} from "./Lanes.sol";
import {Operated} from "./Operated.sol";
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
    /// Lane units that the sender of a post stakes on it; 0 = nothing.
    uint64 bond;
    /// The contract that judges objections.
    address disputes;
}

/// @title Settlement of a local electricity market
/// @notice Holds the members' money and moves it once per slot, netted per member.
///
/// The way of a slot: a quorum of operators signs its orders and trades and one of them `commit`s them before delivery;
/// after the slot a quorum signs a `Post` (what each member pays and receives, and the roots that prove it); once the
/// window has passed anybody may `finalise` it, and only then balances change. Until then whoever proves a fault to
/// `disputes` has the post deleted, and is paid from the bond of the operator who sent it. A post that nobody finalised
/// within the grace period has expired.
/// At the end of a period a quorum signs the root of its bills, which is anchored once and for all.
///
/// The asset that is held is worth (sum of balances + sum of bonds + forfeited) lane units.
///
/// Units: a slot is the start of its interval in unix seconds (UTC). Balances, deltas and withdrawals are in lane
/// units; one lane unit is `laneUnit` base units of the asset. Positive = credited to the member.
contract Settlement is EIP712, Operated {
    using Lanes for Lanes.Book;
    using SafeERC20 for IERC20;

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

    struct Bond {
        /// Lane units paid in.
        uint64 lanes;
        /// Posts of this operator that are neither final nor gone; each binds `bond` lane units.
        uint32 open;
    }

    struct Withdrawal {
        /// Lane units reserved.
        uint64 lanes;
        /// Unix seconds of the last request.
        uint64 requestedAt;
    }

    /// @notice The money: an ERC-20 token, or the zero address for ether.
    IERC20 public immutable asset;
    /// @notice Base units of the asset in one lane unit.
    uint256 public immutable laneUnit;
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
    /// @notice Lane units that an operator stakes on each of its posts until it is final or gone.
    uint64 public immutable bond;
    /// @notice The contract that judges objections to posts.
    address public immutable disputes;

    /// @notice What was committed for a slot: keccak256(abi.encode(orders, trades)); zero = nothing.
    mapping(uint64 slot => bytes32) public commitments;
    /// @notice The latest post of each revision of a slot.
    mapping(uint64 slot => mapping(uint32 revision => Posting)) public posted;
    /// @notice Root of the bills of the period from `start` to `until` (unix seconds); zero = none was anchored.
    mapping(uint64 start => mapping(uint64 until => bytes32)) public anchored;
    /// @notice What a member has asked to withdraw: lane units, and unix seconds of its last request.
    mapping(uint32 member => Withdrawal) public requested;

    /// @notice What was staked by whom. Whoever stakes may be no operator any more.
    mapping(address operator => Bond) public bonds;
    /// @notice Lane units of deleted posts' bonds that were paid to nobody and stay here for good: an operator who
    /// proves its own fault before others do loses too.
    uint256 public forfeited;

    Lanes.Book private _book;

    event Deposited(uint32 indexed member, address indexed payer, uint64 lanes);
    event WithdrawalRequested(uint32 indexed member, uint64 lanes, uint64 requestedAt);
    event Withdrawn(uint32 indexed member, uint64 lanes);
    event Committed(uint64 indexed slot, bytes32 orders, bytes32 trades);
    event Posted(
        uint64 indexed slot,
        uint32 indexed revision,
        bytes32 orders,
        bytes32 readings,
        bytes32 statements,
        bytes32 deltas
    );
    event BondPlaced(address indexed operator, uint64 lanes);
    event BondTaken(address indexed operator, uint64 lanes);
    event Held(uint64 indexed slot, uint32 indexed revision, uint256 until);
    /// @notice A fault was proved and the post deleted. `reward`: lane units paid to whoever proved it.
    event Struck(uint64 indexed slot, uint32 indexed revision, address poster, address prover, uint64 reward);
    event PostExpired(uint64 indexed slot, uint32 indexed revision);
    event Finalised(uint64 indexed slot, uint32 indexed revision);
    /// @notice The bills of a period stand. Periods may overlap: whoever relies on a bill looks here for others that
    /// cover the same time.
    event Anchored(uint64 indexed start, uint64 indexed until, bytes32 bills);

    /// @notice A lane unit, a slot and the grace period must be longer than nothing, the offset shorter than a slot, and
    /// whoever has time to object leaves time to answer.
    error InvalidTerms(Terms terms);
    /// @notice Only the contract that judges objections may do this.
    error NotDisputes(address caller);
    /// @notice A bond is at most 2^64 - 1 lane units.
    error BondOverflow(address operator, uint64 held, uint64 lanes);
    /// @notice More than what the operator staked beyond its open posts, in lane units.
    error BondBound(address operator, uint256 free, uint64 lanes);
    /// @notice The operator must stake more to have one more open post, in lane units.
    error InsufficientBond(address operator, uint64 staked, uint256 needed);
    /// @notice Nothing to commit.
    error EmptyCommitment(uint64 slot);
    /// @notice A post carries a delta of at least one member.
    error EmptyBatch(uint64 slot, uint32 revision);
    /// @notice The post is not there or has not expired.
    error NotExpired(uint64 slot, uint32 revision);
    /// @notice Objections to the post had to come before this time (unix seconds).
    error WindowOver(uint64 slot, uint32 revision, uint256 end);
    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice No member has this number.
    error UnknownMember(uint32 member);
    /// @notice What arrived is not what the lane units are worth, in base units.
    error WrongAmount(uint256 received, uint256 expected);
    /// @notice More lane units than the member holds free.
    error InsufficientFree(uint32 member, uint64 free, uint64 lanes);
    /// @notice The member has asked for nothing.
    error NothingRequested(uint32 member);
    /// @notice The withdrawal can be claimed only after this time (unix seconds).
    error NotYetClaimable(uint32 member, uint256 claimableAfter);
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
    /// @notice The post could be finalised until this time (unix seconds).
    error Expired(uint64 slot, uint32 revision, uint256 finalUntil);
    /// @notice A period starts before it ends, and the root of its bills is not zero.
    error InvalidAnchor(uint64 start, uint64 until, bytes32 bills);
    /// @notice The period's bills were anchored; `bills` is the root that stands.
    error AlreadyAnchored(uint64 start, uint64 until, bytes32 bills);

    modifier onlyDisputes() {
        require(msg.sender == disputes, NotDisputes(msg.sender));
        _;
    }

    /// @param community_ whose members hold balances and whose operators sign
    /// @param asset_ ERC-20 token; the zero address for ether
    /// @param terms what is fixed
    constructor(Community community_, IERC20 asset_, Terms memory terms)
        EIP712("Commonwatt", "1")
        Operated(community_)
    {
        bool lasting =
            terms.laneUnit != 0 && terms.slotOffset < terms.slotSeconds && terms.grace != 0;
        require(lasting && (terms.window == 0 || terms.answerTime != 0), InvalidTerms(terms));
        asset = asset_;
        laneUnit = terms.laneUnit;
        slotSeconds = terms.slotSeconds;
        slotOffset = terms.slotOffset;
        window = terms.window;
        grace = terms.grace;
        answerTime = terms.answerTime;
        bond = terms.bond;
        disputes = terms.disputes;
    }

    // ---------------------------------------------------------------------------------------------- money in and out

    /// @notice The caller, a member, pays in.
    /// @param lanes lane units
    function deposit(uint64 lanes) external payable {
        _deposit(lanes);
    }

    /// @notice The caller, a member, pays in tokens whose transfer it allowed by a signature (ERC-2612).
    /// @param lanes lane units
    /// @param deadline as signed (unix seconds)
    /// @param v of the signature
    /// @param r of the signature
    /// @param s of the signature
    function depositWithPermit(uint64 lanes, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external {
        IERC20Permit token = IERC20Permit(address(asset));
        if (address(token) != address(0)) {
            // Somebody else may have brought the same signature a moment ago; then the allowance is there already, and
            // without one the deposit fails.
            try token.permit(msg.sender, address(this), lanes * laneUnit, deadline, v, r, s) {} catch {}
        }
        _deposit(lanes);
    }

    /// @notice The caller, anybody, pays in for members.
    /// @param members numbers of members
    /// @param lanes lane units for each
    function depositFor(uint32[] calldata members, uint64[] calldata lanes) external payable {
        require(members.length == lanes.length, LengthMismatch(members.length, lanes.length));
        uint256 count = community.memberCount();
        uint256 total = 0;
        for (uint256 i = 0; i < members.length; ++i) {
            require(members[i] < count, UnknownMember(members[i]));
            total += lanes[i];
            _credit(members[i], lanes[i]);
        }
        _receive(total);
    }

    /// @notice The calling member asks for more of its balance back. The amount stops being free at once; asking again
    /// restarts the time for all of it.
    /// @param lanes lane units, at most what is free
    function requestWithdrawal(uint64 lanes) external {
        uint32 member = community.memberOf(msg.sender);
        uint64 free = freeOf(member);
        require(lanes <= free, InsufficientFree(member, free, lanes));
        Withdrawal storage withdrawal = requested[member];
        withdrawal.lanes += lanes;
        withdrawal.requestedAt = uint64(block.timestamp);
        emit WithdrawalRequested(member, withdrawal.lanes, withdrawal.requestedAt);
    }

    /// @notice Pays the calling member what it asked for, or its whole balance if that is less by now. By the time that
    /// this is possible, every post made before the request is final or gone, however long it was held by a dispute.
    function claimWithdrawal() external {
        uint32 member = community.memberOf(msg.sender);
        Withdrawal memory withdrawal = requested[member];
        require(withdrawal.lanes != 0, NothingRequested(member));
        uint256 claimableAfter = uint256(withdrawal.requestedAt) + window + answerTime + window + grace;
        require(block.timestamp > claimableAfter, NotYetClaimable(member, claimableAfter));

        uint64 balance = balanceOf(member);
        uint64 lanes = withdrawal.lanes < balance ? withdrawal.lanes : balance;
        delete requested[member];
        _book.move(member, -int256(uint256(lanes)));
        emit Withdrawn(member, lanes);
        _pay(msg.sender, lanes);
    }

    /// @notice The caller stakes on its posts to come.
    /// @param lanes lane units
    function placeBond(uint64 lanes) external payable {
        uint64 held = bonds[msg.sender].lanes;
        require(lanes <= type(uint64).max - held, BondOverflow(msg.sender, held, lanes));
        bonds[msg.sender].lanes = held + lanes;
        emit BondPlaced(msg.sender, lanes);
        _receive(lanes);
    }

    /// @notice Pays the caller what it staked and no open post binds.
    /// @param lanes lane units
    function takeBond(uint64 lanes) external {
        Bond storage staked = bonds[msg.sender];
        uint256 free = staked.lanes - uint256(bond) * staked.open;
        require(lanes <= free, BondBound(msg.sender, free, lanes));
        staked.lanes -= lanes;
        emit BondTaken(msg.sender, lanes);
        _pay(msg.sender, lanes);
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
        emit Posted(p.slot, p.revision, p.orders, p.readings, p.statements, p.deltas);
    }

    /// @notice Applies a post after its window. Anybody may.
    /// @param p the post
    /// @param deltas as posted
    function finalise(Post calldata p, bytes calldata deltas) external {
        Posting storage posting = _pending(p);
        uint256 finalFrom = _finalFrom(posting);
        require(block.timestamp >= finalFrom, NotYetFinal(p.slot, p.revision, finalFrom));
        require(block.timestamp <= finalFrom + grace, Expired(p.slot, p.revision, finalFrom + grace));
        _requireDeltas(p, deltas);

        posting.finalised = true;
        _unbind(posting.poster);
        // Length and sum of these very deltas were checked by `post`; members are never fewer.
        _book.applyAll(deltas);
        emit Finalised(p.slot, p.revision);
    }

    /// @notice Clears away an expired post, so that it no longer binds its sender's stake. Anybody may.
    function expire(uint64 slot, uint32 revision) external {
        Posting storage posting = posted[slot][revision];
        require(posting.digest != 0 && _gone(posting), NotExpired(slot, revision));
        _unbind(posting.poster);
        delete posted[slot][revision];
        emit PostExpired(slot, revision);
    }

    /// @notice Keeps a post from being final until what was demanded is answered and the answer can be objected to.
    /// @param p the post, within its window
    /// @return digest of the post
    /// @return postedAt time of the post (unix seconds)
    function hold(Post calldata p) external onlyDisputes returns (bytes32 digest, uint40 postedAt) {
        Posting storage posting = _pending(p);
        (digest, postedAt) = (posting.digest, posting.postedAt);
        uint256 end = uint256(postedAt) + window;
        require(block.timestamp < end, WindowOver(p.slot, p.revision, end));
        // Later demands hold longer, so this only grows.
        posting.heldUntil = uint40(block.timestamp + uint256(answerTime) + window);
        emit Held(p.slot, p.revision, posting.heldUntil);
    }

    /// @notice Deletes a post that is not final. Half of its bond goes to the prover.
    /// @param p the post
    /// @param prover who showed the fault
    function strike(Post calldata p, address prover) external onlyDisputes {
        address poster = _pending(p).poster;
        delete posted[p.slot][p.revision];
        uint64 reward = bond / 2;
        if (bond != 0) {
            _unbind(poster);
            bonds[poster].lanes -= bond;
            forfeited += bond - reward;
        }
        emit Struck(p.slot, p.revision, poster, prover, reward);
        if (reward != 0) _pay(prover, reward);
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

    // ----------------------------------------------------------------------------------------------------- questions

    /// @notice Lane units that a member holds, requested ones included.
    function balanceOf(uint32 member) public view returns (uint64) {
        return _book.balanceOf(member);
    }

    /// @notice Lane units that a member holds and has not asked to withdraw: what its orders may cost.
    function freeOf(uint32 member) public view returns (uint64) {
        uint64 balance = balanceOf(member);
        uint64 reserved = requested[member].lanes;
        return balance > reserved ? balance - reserved : 0;
    }

    // --------------------------------------------------------------------------------------------------------- parts

    function _requirePostable(Post calldata p, bytes32 trades) private view {
        bytes32 given = commitmentOf(p.orders, trades);
        bytes32 committed = commitments[p.slot];
        require(given == committed, CommitmentMismatch(p.slot, committed, given));
        uint256 end = uint256(p.slot) + slotSeconds;
        require(block.timestamp >= end, SlotNotOver(p.slot, end));
        require(p.revision == 0 || posted[p.slot][p.revision - 1].finalised, PreviousNotFinal(p.slot, p.revision));
        Posting storage earlier = posted[p.slot][p.revision];
        require(earlier.digest == 0 || _gone(earlier), AlreadyPosted(p.slot, p.revision));
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

    function _gone(Posting storage posting) private view returns (bool) {
        return !posting.finalised && block.timestamp > _finalFrom(posting) + grace;
    }

    function _bind(address operator) private {
        if (bond == 0) return;
        Bond memory staked = bonds[operator];
        uint256 needed = uint256(bond) * (uint256(staked.open) + 1);
        require(staked.lanes >= needed, InsufficientBond(operator, staked.lanes, needed));
        bonds[operator].open = staked.open + 1;
    }

    function _unbind(address operator) private {
        if (bond != 0) bonds[operator].open -= 1;
    }

    function _deposit(uint64 lanes) private {
        _credit(community.memberOf(msg.sender), lanes);
        _receive(lanes);
    }

    function _credit(uint32 member, uint64 lanes) private {
        _book.move(member, int256(uint256(lanes)));
        emit Deposited(member, msg.sender, lanes);
    }

    /// @dev Takes the asset from the caller. What arrives is measured: a token that keeps a fee on the way would leave
    /// balances without cover.
    function _receive(uint256 lanes) private {
        uint256 expected = lanes * laneUnit;
        uint256 received = msg.value;
        if (address(asset) != address(0)) {
            require(msg.value == 0, WrongAmount(msg.value, 0));
            uint256 before = asset.balanceOf(address(this));
            asset.safeTransferFrom(msg.sender, address(this), expected);
            received = asset.balanceOf(address(this)) - before;
        }
        // What arrived, not a balance that strangers can raise.
        // slither-disable-next-line incorrect-equality
        require(received == expected, WrongAmount(received, expected));
    }

    function _pay(address account, uint256 lanes) private {
        uint256 amount = lanes * laneUnit;
        if (address(asset) == address(0)) Address.sendValue(payable(account), amount);
        else asset.safeTransfer(account, amount);
    }
}
