// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {
    commitmentOf,
    hashBasket,
    hashMandate,
    hashOrder,
    hashReading,
    hashReceipt,
    hashStatement,
    hashTrade
} from "./Hashing.sol";
import {Judge, Leaf} from "./Judge.sol";
import {Proofs} from "./Proofs.sol";
import {Basket, Mandate, Order, Post, Reading, Receipt, Statement, Trade} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @notice What shows that a member agreed to trade: an order in words that the member itself signed; one without words,
/// in a basket that its agent signed, with the mandate; or the mandate alone. Signatures are 65 bytes (r, s, v), empty
/// where there is none.
struct Consent {
    Order order;
    /// Of the order in words, or of the basket.
    bytes orderSignature;
    /// Of the basket: its first slot, how many orders it has, the place of this one among them, and the siblings to its
    /// root.
    uint64 first;
    uint32 count;
    uint32 position;
    bytes32[] siblings;
    Mandate mandate;
    bytes mandateSignature;
}

/// @notice Lines that were posted about one member, and what they rest on. All of them are answered at once or in parts,
/// in order: a part begins with the last line of the one before.
struct Answer {
    /// Position of the first of these lines.
    uint256 position;
    /// The line before the member's (unless it is the first of all), the member's, and in the last part the one behind
    /// them. Of a member that was registered after the slot began, and has none, the two around its missing place.
    Statement[] statements;
    /// Depth of the tree, and the siblings beside the lines: level by level from the bottom, left before right.
    uint256 depth;
    bytes32[] border;
    /// Trade of each of the member's lines that is shown for the first time.
    Trade[] trades;
    /// Root of the committed trades, and each trade's siblings to it; none where the consent is a mandate.
    bytes32 tradesRoot;
    bytes32[][] committed;
    /// One for each run of lines under the same order.
    Consent[] consents;
    /// In the first part; without a signature where the lines name no reading.
    Reading reading;
    bytes readingSignature;
    bytes32[] readingSiblings;
    /// In the last part of an answer to a revision: the revision before, and there the member's last line and the one
    /// behind it, or the lines around its missing place.
    Post earlier;
    Leaf[] earlierEnds;
}

/// @title What a post rests on, demanded on the chain
/// @notice Operators who keep a post's lines back, or who forged what they rest on, are asked here: without an answer in
/// time the post is deleted. An answer is checked for being complete and genuine; what it shows is judged by a challenge.
/// The settlement names this contract when it is created, and this one the settlement.
contract Demands is Judge {
    struct Demand {
        /// Who asked; zero = nobody.
        address by;
        /// Last second for the answer (unix).
        uint40 until;
        bool answered;
        /// Position of the first line that was not shown yet; zero = none was.
        uint40 next;
        /// Depth at which the lines before stand: a tree of two depths could have another line at that position.
        uint8 depth;
    }

    /// @dev Depths below this have positions that fit `next`.
    uint256 private constant DEEPEST = 40;

    /// @dev The scope of a member's grant to whoever may demand in its stead.
    bytes32 private constant WATCH = keccak256("watch");

    /// @notice By `keyOf` a post and what is asked for.
    mapping(bytes32 key => Demand) public demands;
    /// @dev How often a post with this digest was posted at one time and held: what was asked of one that is struck does
    /// not stand for the same that is posted again in its block.
    mapping(bytes32 digest => mapping(uint40 postedAt => uint256)) private _rounds;

    event Demanded(uint64 indexed slot, uint32 indexed revision, uint32 indexed member, uint256 until);
    event Answered(uint64 indexed slot, uint32 indexed revision, uint32 indexed member);
    /// @notice A part of an answer came; lines from the position `next` on are still to come.
    event AnsweredInPart(uint64 indexed slot, uint32 indexed revision, uint32 indexed member, uint256 next);
    event OrderDemanded(uint64 indexed slot, uint32 indexed revision, bytes32 indexed order, uint256 until);
    event OrderAnswered(uint64 indexed slot, uint32 indexed revision, bytes32 indexed order);

    /// @notice This is not the account of the member, nor of one that it lets watch.
    error NotTheMember(uint32 member, address account);
    /// @notice This was demanded before; the answer may come until then (unix seconds).
    error AlreadyDemanded(uint256 until);
    /// @notice Nobody demanded this.
    error NothingDemanded();
    /// @notice The answer was given.
    error AlreadyAnswered();
    /// @notice The answer had to come until then (unix seconds).
    error AnswerLate(uint256 until);
    /// @notice The answer may come until then (unix seconds).
    error AnswerPending(uint256 until);
    /// @notice The lines are not the member's own between one of a lower and one of a higher member, or do not begin with
    /// the last one that was shown.
    error IncompleteLines(uint32 member);
    /// @notice Lists that belong together have different lengths.
    error LengthMismatch(uint256 first, uint256 second);
    /// @notice The record is signed by somebody else, or for somebody else.
    error ForeignSignature(address expected, address signer);
    /// @notice An agent's order is outside the mandate.
    error OutsideMandate(bytes32 order, bytes32 mandate);
    /// @notice A basket of so many orders from that slot on has no such place for the order.
    error OutsideBasket(uint64 first, uint32 count, uint32 position, uint256 depth);
    /// @notice The receipt is for another slot.
    error ForeignReceipt(uint64 expected, uint64 given);

    constructor(Settlement settlement_) Judge(settlement_) {}

    /// @notice The calling member, or who holds its grant to watch, asks for all that was posted about the member, once
    /// for a post, within its window.
    function demand(Post calldata p, uint32 member) external {
        bool entitled = community.accountOf(member) == msg.sender || community.hasAccess(member, msg.sender, WATCH);
        require(entitled, NotTheMember(member, msg.sender));
        emit Demanded(p.slot, p.revision, member, _ask(p, _subject(member)));
    }

    /// @notice Answers a member's demand, or goes on with the answer. Anybody may.
    function answer(Post calldata p, uint32 member, Answer calldata a) external {
        Demand storage asked = _inTime(p, _subject(member));
        bool resumed = asked.next != 0 && a.position + 1 == asked.next && a.depth == asked.depth;
        (uint256 from, uint256 to) = _requireLines(p, member, a, resumed);
        _requireTrades(p, member, a, from, to);
        if (!resumed && from < to) _requireReading(p, member, a, from);
        if (to == a.statements.length) {
            // Whoever begins anew takes nothing back.
            if (a.position + to > asked.next) (asked.next, asked.depth) = (uint40(a.position + to), uint8(a.depth));
            emit AnsweredInPart(p.slot, p.revision, member, asked.next);
            return;
        }
        if (p.revision != 0) _requireEarlier(p, member, a);
        asked.answered = true;
        emit Answered(p.slot, p.revision, member);
    }

    /// @notice Deletes a post whose answer did not come in time; half of its bond is credited to who asked. Anybody may.
    function lapse(Post calldata p, uint32 member) external {
        _lapse(p, _subject(member));
    }

    /// @notice Asks where an order is that enough operators signed a receipt for. Anybody may, within the window.
    /// @param signatures of at least `threshold` operators over the receipt, ascending by signer: one operator alone
    /// could otherwise delete what the others posted
    function demandOrder(Post calldata p, Receipt calldata receipt, bytes[] calldata signatures) external {
        require(receipt.slot == p.slot, ForeignReceipt(p.slot, receipt.slot));
        bytes32 subject = hashReceipt(receipt);
        community.requireQuorum(_digest(subject), signatures);
        emit OrderDemanded(p.slot, p.revision, receipt.order, _ask(p, subject));
    }

    /// @notice Shows that the order stands where its receipt says. Anybody may.
    /// @param siblings of its place in the orders
    function answerOrder(Post calldata p, Receipt calldata receipt, bytes32[] calldata siblings) external {
        _inTime(p, hashReceipt(receipt)).answered = true;
        Proofs.requireAt(receipt.order, receipt.position, siblings, p.orders);
        emit OrderAnswered(p.slot, p.revision, receipt.order);
    }

    /// @notice Deletes a post without an order that was accepted; half of its bond is credited to who asked. Anybody may.
    function lapseOrder(Post calldata p, Receipt calldata receipt) external {
        _lapse(p, hashReceipt(receipt));
    }

    // ------------------------------------------------------------------------------------------------ ask and answer

    function _subject(uint32 member) private pure returns (bytes32) {
        return bytes32(uint256(member));
    }

    /// @notice Under which key `demands` has what is asked of a post.
    /// @param subject number of a member, or struct hash of a receipt
    function keyOf(bytes32 digest, uint40 postedAt, bytes32 subject) public view returns (bytes32) {
        return keccak256(abi.encode(digest, postedAt, subject, _rounds[digest][postedAt]));
    }

    function _ask(Post calldata p, bytes32 subject) private returns (uint40 until) {
        (bytes32 digest, uint40 postedAt, bool first) = settlement.hold(p);
        if (first) ++_rounds[digest][postedAt];
        Demand storage asked = demands[keyOf(digest, postedAt, subject)];
        require(asked.by == address(0), AlreadyDemanded(asked.until));
        until = uint40(block.timestamp + settlement.answerTime());
        (asked.by, asked.until) = (msg.sender, until);
    }

    /// @dev The demand that waits for an answer.
    function _open(Post calldata p, bytes32 subject) private view returns (Demand storage asked) {
        (bytes32 digest, uint40 postedAt) = _pending(p);
        asked = demands[keyOf(digest, postedAt, subject)];
        require(asked.by != address(0), NothingDemanded());
        require(!asked.answered, AlreadyAnswered());
    }

    function _inTime(Post calldata p, bytes32 subject) private view returns (Demand storage asked) {
        asked = _open(p, subject);
        require(block.timestamp <= asked.until, AnswerLate(asked.until));
    }

    function _lapse(Post calldata p, bytes32 subject) private {
        Demand storage asked = _open(p, subject);
        require(block.timestamp > asked.until, AnswerPending(asked.until));
        settlement.strike(p, asked.by);
    }

    // ---------------------------------------------------------------------------------------------- what is answered

    /// @dev The lines lead to the post and are the member's, from its first or the first that was not shown yet.
    /// @param resumed whether the first of these is the last one that was shown
    /// @return from place of the first of them among the lines
    /// @return to place behind the last of them; where that is inside, it is a higher member's, and they are complete
    function _requireLines(Post calldata p, uint32 member, Answer calldata a, bool resumed)
        private
        view
        returns (uint256 from, uint256 to)
    {
        uint256 count = a.statements.length;
        require(count != 0, IncompleteLines(member));
        uint32 first = a.statements[0].member;
        resumed = resumed && first == member;
        from = resumed || first < member ? 1 : 0;
        bool begins = a.depth < DEEPEST && (from == 1 || a.position == 0);
        to = from;
        while (to < count && a.statements[to].member == member) ++to;
        bool whole = to < count;
        bool ends = !whole || (to + 1 == count && a.statements[to].member > member);
        // Only who came too late for a line is answered without one.
        bool shows = from < to || (whole && (resumed || community.registeredAt(member) >= p.slot));
        require(begins && ends && shows, IncompleteLines(member));
        _requirePosted(p, a);
    }

    /// @dev The lines stand side by side in the post.
    function _requirePosted(Post calldata p, Answer calldata a) private pure {
        bytes32[] memory nodes = new bytes32[](a.statements.length);
        for (uint256 i = 0; i < nodes.length; ++i) {
            _requireHere(p, a.statements[i]);
            nodes[i] = Proofs.leafOf(hashStatement(a.statements[i]));
        }
        Proofs.requireRange(nodes, a.position, a.depth, a.border, p.statements);
    }

    /// @dev Every line's trade is there, and the member's consent to it; what an order agreed was committed.
    function _requireTrades(Post calldata p, uint32 member, Answer calldata a, uint256 from, uint256 to) private view {
        require(a.committed.length == a.trades.length, LengthMismatch(a.trades.length, a.committed.length));
        _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, a.tradesRoot));
        uint256 used = 0;
        uint256 consents = 0;
        bool ordered = false;
        bytes32 previous = 0;
        for (uint256 i = from; i < to; ++i) {
            Statement calldata line = a.statements[i];
            if (line.trade == 0) continue;
            require(used < a.trades.length, LengthMismatch(a.trades.length, used + 1));
            _requireSame(line.trade, hashTrade(a.trades[used]));
            if (used == 0 || line.order != previous) {
                require(consents < a.consents.length, LengthMismatch(a.consents.length, consents + 1));
                ordered = _requireConsent(a.consents[consents++], line.order, member, p.slot);
                previous = line.order;
            }
            if (ordered) {
                Proofs.requireAt(line.trade, a.trades[used].number, a.committed[used], a.tradesRoot);
            }
            ++used;
        }
        require(used == a.trades.length, LengthMismatch(a.trades.length, used));
        require(consents == a.consents.length, LengthMismatch(a.consents.length, consents));
    }

    /// @dev The member's own signature stands behind what a line names; returns whether that is an order.
    function _requireConsent(Consent calldata consent, bytes32 named, uint32 member, uint64 slot)
        private
        view
        returns (bool ordered)
    {
        ordered = consent.orderSignature.length != 0;
        bytes32 order = hashOrder(consent.order);
        bytes32 mandate = hashMandate(consent.mandate);
        _requireSame(named, ordered ? order : mandate);
        address account = ordered ? consent.order.member : consent.mandate.member;
        require(_isAccountOf(member, account, slot), NotTheMember(member, account));
        if (ordered && bytes(consent.order.text).length != 0) {
            _requireSigned(order, consent.orderSignature, account);
            return true;
        }
        _requireSigned(mandate, consent.mandateSignature, account);
        if (!ordered) return false;
        _requireSigned(_basketOf(consent, order), consent.orderSignature, consent.mandate.agent);
        require(_covers(consent.mandate, consent.order, slot), OutsideMandate(order, mandate));
    }

    /// @dev Struct hash of the basket in which the order stands. Its root is of a tree as deep as so many orders need.
    function _basketOf(Consent calldata consent, bytes32 order) private pure returns (bytes32) {
        (uint256 count, uint256 depth) = (consent.count, consent.siblings.length);
        bool inside = consent.position < count && consent.first <= consent.order.slot;
        bool deep = count <= 1 << depth && (depth == 0 || count > 1 << (depth - 1));
        require(inside && deep, OutsideBasket(consent.first, consent.count, consent.position, depth));
        bytes32 root = Proofs.rootAt(order, consent.position, consent.siblings);
        return hashBasket(Basket(consent.order.member, consent.first, consent.count, root));
    }

    /// @dev Whether an agent may give this order for the member in this slot.
    function _covers(Mandate calldata mandate, Order calldata order, uint64 slot) private pure returns (bool) {
        bool fits = order.side == 0
            ? order.limit <= mandate.maxBuy && order.wh <= mandate.buyWh
            : order.limit >= mandate.minSell && order.wh <= mandate.sellWh;
        bool timely = mandate.validFrom <= slot && slot < mandate.validUntil;
        return fits && timely && mandate.member == order.member;
    }

    /// @dev The meter's own signature stands behind the reading, which is where the readings have it; or none is there.
    function _requireReading(Post calldata p, uint32 member, Answer calldata a, uint256 from) private view {
        bytes32 named = a.statements[from].reading;
        if (named != 0) {
            _requireSame(named, hashReading(a.reading));
            _requireSigned(named, a.readingSignature, a.reading.meter);
        }
        Proofs.requireAt(named, member, a.readingSiblings, p.readings);
    }

    /// @dev What the revision before had about the member is shown.
    function _requireEarlier(Post calldata p, uint32 member, Answer calldata a) private view {
        _requireBefore(p, a.earlier);
        _stated(a.earlier, a.earlierEnds, member);
    }

    function _requireSigned(bytes32 structHash, bytes calldata signature, address expected) private view {
        address signer = ECDSA.recoverCalldata(_digest(structHash), signature);
        require(signer == expected, ForeignSignature(expected, signer));
    }
}
