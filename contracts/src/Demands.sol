// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {
    commitmentOf,
    hashBasket,
    hashLine,
    hashMandate,
    hashOrder,
    hashReading,
    hashReceipt,
    hashStatement,
    hashTrade
} from "./Hashing.sol";
import {Judge} from "./Judge.sol";
import {Proofs} from "./Proofs.sol";
import {Basket, Line, Mandate, Order, Post, Reading, Receipt, Statement, Trade} from "./Records.sol";
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

/// @notice What was posted about one member, and what it rests on. The lines are answered at once or in parts, each of
/// which begins anywhere up to the first line that was not shown yet.
struct Answer {
    /// Whether the member has a statement; one that was registered after the slot began may have none.
    bool stated;
    Statement statement;
    /// To the post's statements, of the place of the member's number. Without a statement that is empty, or the tree's last
    /// place is where the tree ends before it; and nothing else is looked at.
    bytes32[] siblings;
    /// Position of the first of these lines.
    uint256 position;
    Line[] lines;
    /// Depth of the tree of the lines, and the siblings beside these: level by level from the bottom, left before right.
    /// The empty places behind the last line of all count as these, and the tree is no deeper than its lines need.
    uint256 depth;
    bytes32[] border;
    /// Whether no line follows these.
    bool last;
    /// Trade of each of the lines.
    Trade[] trades;
    /// Root of the committed trades, and each trade's siblings to it; none where the consent is a mandate.
    bytes32 tradesRoot;
    bytes32[][] committed;
    /// One for each run of these lines under the same order.
    Consent[] consents;
    /// In a part that begins at the first line; without a signature where the statement names no reading.
    Reading reading;
    bytes readingSignature;
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
        /// Struct hash of the statement whose lines these are.
        bytes32 stated;
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
    /// @notice No statement is an answer only for who was registered after the slot began; lines begin with the first one or
    /// up to where those shown before end, in the same statement and depth; and some are shown unless none follow.
    error Incomplete(uint32 member);
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
        if (!a.stated) {
            require(community.registeredAt(member) >= p.slot, Incomplete(member));
            Proofs.requireNone(member, a.siblings, p.statements);
        } else {
            bytes32 stated = hashStatement(a.statement);
            Proofs.requireAt(stated, member, a.siblings, p.statements);
            _requireContinued(asked, member, a, stated);
            _requireLines(a);
            _requireTrades(p, member, a);
            if (a.position == 0) _requireReading(a);
            if (!a.last) return _note(asked, p, member, a, stated);
        }
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

    /// @dev A part begins with the member's first line, or no further than the parts before it came.
    /// @param stated struct hash of the statement
    function _requireContinued(Demand storage asked, uint32 member, Answer calldata a, bytes32 stated) private view {
        bool same = asked.stated == stated && asked.depth == a.depth;
        bool begins = a.depth < DEEPEST && (a.position == 0 || (same && a.position <= asked.next));
        uint256 count = a.position + a.lines.length;
        bool shows = a.last ? Proofs.isDepthOf(count, a.depth) : a.lines.length != 0;
        require(begins && shows, Incomplete(member));
    }

    /// @dev Notes how far a part came that is not the last; whoever begins anew takes nothing back.
    function _note(Demand storage asked, Post calldata p, uint32 member, Answer calldata a, bytes32 stated) private {
        uint256 next = a.position + a.lines.length;
        if (next > asked.next) (asked.next, asked.depth, asked.stated) = (uint40(next), uint8(a.depth), stated);
        emit AnsweredInPart(p.slot, p.revision, member, asked.next);
    }

    /// @dev The lines stand side by side in the statement, and nothing behind the last of all.
    function _requireLines(Answer calldata a) private pure {
        uint256 count = a.lines.length;
        // Where there is no line, the place is shown empty.
        bytes32[] memory nodes = new bytes32[](count == 0 ? 2 : count + 1);
        for (uint256 i = 0; i < count; ++i) {
            nodes[i] = Proofs.leafOf(hashLine(a.lines[i]));
        }
        Proofs.requireRange(nodes, a.position, a.depth, a.border, a.last, a.statement.lines);
    }

    /// @dev Every line's trade is there, and the member's consent to it; what an order agreed was committed.
    function _requireTrades(Post calldata p, uint32 member, Answer calldata a) private view {
        require(a.trades.length == a.lines.length, LengthMismatch(a.lines.length, a.trades.length));
        require(a.committed.length == a.trades.length, LengthMismatch(a.trades.length, a.committed.length));
        _requireSame(settlement.commitments(p.slot), commitmentOf(p.orders, a.tradesRoot));
        uint256 consents = 0;
        bool ordered = false;
        for (uint256 i = 0; i < a.lines.length; ++i) {
            Line calldata line = a.lines[i];
            _requireSame(line.trade, hashTrade(a.trades[i]));
            if (i == 0 || line.order != a.lines[i - 1].order) {
                require(consents < a.consents.length, LengthMismatch(a.consents.length, consents + 1));
                ordered = _requireConsent(a.consents[consents++], line.order, member, p.slot);
            }
            if (ordered) Proofs.requireAt(line.trade, a.trades[i].number, a.committed[i], a.tradesRoot);
        }
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
        require(
            inside && Proofs.isDepthOf(count, depth),
            OutsideBasket(consent.first, consent.count, consent.position, depth)
        );
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

    /// @dev The meter's own signature stands behind the reading that the statement names, if it names one.
    function _requireReading(Answer calldata a) private view {
        bytes32 named = a.statement.reading;
        if (named == 0) return;
        _requireSame(named, hashReading(a.reading));
        _requireSigned(named, a.readingSignature, a.reading.meter);
    }

    function _requireSigned(bytes32 structHash, bytes calldata signature, address expected) private view {
        address signer = ECDSA.recoverCalldata(_digest(structHash), signature);
        require(signer == expected, ForeignSignature(expected, signer));
    }
}
