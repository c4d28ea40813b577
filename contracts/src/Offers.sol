// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Cash} from "./Cash.sol";
import {hashReading} from "./Hashing.sol";
import {Operated} from "./Operated.sol";
import {Reading} from "./Records.sol";
import {Settlement} from "./Settlement.sol";

/// @title Direct trade between two members
/// @notice A member posts energy, a price and the slot of delivery; another one buys it, which puts the payment into
/// escrow; after the slot the seller shows its meter's signed reading and is paid for what it delivered; the rest, or
/// everything when no reading comes in time, goes back to the buyer. Kang et al. (2018) trade so, one offer at a time;
/// here any number of offers stand beside each other.
///
/// Each member fetches its money by itself, so that nobody's account can block anybody else's. It belongs to the member,
/// also when its account is replaced. Readings are those that meters sign for the
/// settlement. One that is used here says nothing to the settlement: whoever sells here does not sell the same energy
/// there.
///
/// An offer is given in full with each call; the chain keeps its hash, its `id`. Energy is in Wh, a price in lane units
/// per kWh, rounded down for the whole payment, as in the settlement.
contract Offers is Cash, Operated {
    struct Offer {
        /// Number of the member that sells.
        uint32 seller;
        /// Start of the slot of delivery, unix seconds.
        uint64 slot;
        /// Wh to the grid.
        uint64 wh;
        /// Lane units per kWh.
        uint64 price;
        /// Tells offers apart that are otherwise the same.
        uint64 nonce;
    }

    enum State {
        None,
        Open,
        Sold,
        Closed
    }

    struct Sale {
        State state;
        /// Number of the member that bought.
        uint32 buyer;
        /// Wh that the seller is paid for; the buyer is paid back the rest.
        uint64 delivered;
        bool sellerFetched;
        bool buyerFetched;
    }

    /// @notice Where the meters' signatures count.
    Settlement public immutable settlement;
    uint64 public immutable slotSeconds;
    uint64 public immutable slotOffset;
    /// @notice Seconds after the slot in which the seller shows its reading.
    uint64 public immutable patience;

    /// @notice How an offer stands, by its id; `None` also when it was cancelled.
    mapping(bytes32 id => Sale) public sales;
    /// @notice Wh of a seller in a slot that were paid, whichever of its home's meters counted them.
    mapping(uint32 seller => mapping(uint64 slot => uint64)) public paidWh;

    event Offered(
        bytes32 indexed id, uint32 indexed seller, uint64 indexed slot, uint64 wh, uint64 price, uint64 nonce
    );
    event Cancelled(bytes32 indexed id);
    event Bought(bytes32 indexed id, uint32 indexed buyer, uint256 payment);
    /// @notice The seller may fetch the payment for `delivered` Wh, the buyer the rest.
    event Closed(bytes32 indexed id, uint64 delivered);
    event Fetched(uint32 indexed member, uint256 amount);

    /// @notice There is time to show a reading.
    error NoPatience();
    /// @notice An offer is over some energy, and stands once.
    error InvalidOffer(bytes32 id);
    /// @notice Slots start `slotOffset` after multiples of `slotSeconds`.
    error SlotMisaligned(uint64 slot, uint64 slotSeconds);
    /// @notice Energy is offered and bought before its slot starts.
    error SlotStarted(uint64 slot);
    /// @notice Only the seller may do this.
    error NotTheSeller(uint32 member, uint32 seller);
    /// @notice There is no such offer, or it is sold.
    error NotForSale(bytes32 id);
    /// @notice There is no such offer, or nobody bought it, or it was closed.
    error NotSold(bytes32 id);
    /// @notice There is no such offer, or what was delivered is not known yet.
    error NotClosed(bytes32 id);
    /// @notice The offer asks for more than the buyer would pay, in lane units per kWh.
    error PriceAboveLimit(uint64 price, uint64 limit);
    /// @notice The slot lasts until this time (unix seconds).
    error SlotNotOver(uint64 slot, uint256 end);
    /// @notice Readings had to come until this time (unix seconds).
    error TooLate(uint64 slot, uint256 until);
    /// @notice The seller may show its reading until this time (unix seconds).
    error NotYetRefundable(uint64 slot, uint256 until);
    /// @notice The reading is of another slot.
    error WrongSlot(uint64 slot, uint64 expected);
    /// @notice The meter is not one that measured the seller's home when the slot began.
    error WrongMeter(address meter, uint32 seller);
    /// @notice Somebody else's signature, or one over different content, or for another contract or chain.
    error WrongSignature(address signer, address meter);
    /// @notice There is nothing to fetch.
    error NothingToFetch(uint32 member);

    /// @param settlement_ whose members, money, slots and readings these are
    /// @param patience_ time to show a reading after the slot [s]
    constructor(Settlement settlement_, uint64 patience_)
        Cash(settlement_.asset(), settlement_.laneUnit())
        Operated(settlement_.community())
    {
        require(patience_ != 0, NoPatience());
        settlement = settlement_;
        slotSeconds = settlement_.slotSeconds();
        slotOffset = settlement_.slotOffset();
        patience = patience_;
    }

    /// @notice The calling member offers energy.
    function post(Offer calldata offer) external {
        bytes32 id = idOf(offer);
        uint32 member = community.activeMemberOf(msg.sender);
        require(member == offer.seller, NotTheSeller(member, offer.seller));
        require(offer.wh != 0 && sales[id].state == State.None, InvalidOffer(id));
        require(offer.slot % slotSeconds == slotOffset, SlotMisaligned(offer.slot, slotSeconds));
        require(block.timestamp < offer.slot, SlotStarted(offer.slot));
        sales[id].state = State.Open;
        emit Offered(id, offer.seller, offer.slot, offer.wh, offer.price, offer.nonce);
    }

    /// @notice The seller takes back what nobody bought.
    function cancel(Offer calldata offer) external {
        bytes32 id = idOf(offer);
        _requireSeller(offer);
        require(sales[id].state == State.Open, NotForSale(id));
        delete sales[id];
        emit Cancelled(id);
    }

    /// @notice The calling member buys an offer, whole, and pays into escrow.
    /// @param limit most that it would pay, in lane units per kWh; it pays the offer's price
    function buy(Offer calldata offer, uint64 limit) external payable {
        bytes32 id = idOf(offer);
        uint32 buyer = community.activeMemberOf(msg.sender);
        require(sales[id].state == State.Open, NotForSale(id));
        require(offer.price <= limit, PriceAboveLimit(offer.price, limit));
        require(block.timestamp < offer.slot, SlotStarted(offer.slot));
        (sales[id].state, sales[id].buyer) = (State.Sold, buyer);
        uint256 payment = paymentOf(offer.wh, offer.price);
        emit Bought(id, buyer, payment);
        _receive(payment);
    }

    /// @notice The seller is paid for what its meter delivered in the slot and no other offer was paid for; the buyer
    /// gets the rest back. That ends the sale.
    /// @param reading of the slot, of a meter that measured the seller's home when it began
    /// @param signature of the meter, in the settlement's domain; 65 bytes (r, s, v)
    function release(Offer calldata offer, Reading calldata reading, bytes calldata signature) external {
        _requireSeller(offer);
        uint256 end = uint256(offer.slot) + slotSeconds;
        require(block.timestamp >= end, SlotNotOver(offer.slot, end));
        require(block.timestamp <= end + patience, TooLate(offer.slot, end + patience));
        _requireReading(offer, reading, signature);

        uint64 earlier = paidWh[offer.seller][offer.slot];
        uint64 left = reading.whOut > earlier ? reading.whOut - earlier : 0;
        uint64 delivered = left < offer.wh ? left : offer.wh;
        paidWh[offer.seller][offer.slot] = earlier + delivered;
        _close(offer, delivered);
    }

    /// @notice Gives the buyer its money back when no reading came in time. Anybody may.
    function refund(Offer calldata offer) external {
        uint256 until = uint256(offer.slot) + slotSeconds + patience;
        require(block.timestamp > until, NotYetRefundable(offer.slot, until));
        _close(offer, 0);
    }

    /// @notice Pays the calling member what it earned or gets back from closed offers.
    function fetch(Offer[] calldata offers) external {
        uint32 member = community.memberOf(msg.sender);
        uint256 amount = 0;
        for (uint256 i = 0; i < offers.length; ++i) {
            amount += _take(offers[i], member);
        }
        require(amount != 0, NothingToFetch(member));
        emit Fetched(member, amount);
        _payCaller(amount);
    }

    /// @notice What the chain keeps of an offer.
    function idOf(Offer calldata offer) public pure returns (bytes32) {
        return keccak256(abi.encode(offer));
    }

    /// @notice Base units of the asset for energy at a price.
    /// @param wh energy in Wh
    /// @param price lane units per kWh
    function paymentOf(uint64 wh, uint64 price) public view returns (uint256) {
        // Lane units are whole, as in Settlement: the rest of the division is given to nobody on purpose.
        // slither-disable-next-line divide-before-multiply
        return uint256(wh) * price / 1000 * laneUnit;
    }

    function _close(Offer calldata offer, uint64 delivered) private {
        bytes32 id = idOf(offer);
        Sale storage sale = sales[id];
        require(sale.state == State.Sold, NotSold(id));
        (sale.state, sale.delivered) = (State.Closed, delivered);
        emit Closed(id, delivered);
    }

    /// @dev What a member may fetch from an offer, in base units; a seller may have bought its own.
    function _take(Offer calldata offer, uint32 member) private returns (uint256 amount) {
        bytes32 id = idOf(offer);
        Sale storage sale = sales[id];
        require(sale.state == State.Closed, NotClosed(id));
        uint256 paid = paymentOf(sale.delivered, offer.price);
        if (member == offer.seller && !sale.sellerFetched) {
            sale.sellerFetched = true;
            amount = paid;
        }
        if (member == sale.buyer && !sale.buyerFetched) {
            sale.buyerFetched = true;
            amount += paymentOf(offer.wh, offer.price) - paid;
        }
    }

    function _requireSeller(Offer calldata offer) private view {
        uint32 member = community.memberOf(msg.sender);
        require(member == offer.seller, NotTheSeller(member, offer.seller));
    }

    function _requireReading(Offer calldata offer, Reading calldata reading, bytes calldata signature) private view {
        require(reading.slot == offer.slot, WrongSlot(reading.slot, offer.slot));
        uint32 owner = community.homeOfMeterAt(reading.meter, reading.slot);
        require(owner == offer.seller, WrongMeter(reading.meter, offer.seller));
        bytes32 digest = MessageHashUtils.toTypedDataHash(_domain(), hashReading(reading));
        address signer = ECDSA.recoverCalldata(digest, signature);
        require(signer == reading.meter, WrongSignature(signer, reading.meter));
    }

    /// @dev Of the settlement, by the chain's present id: after a fork signatures count on one side only.
    function _domain() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Commonwatt"),
                keccak256("1"),
                block.chainid,
                address(settlement)
            )
        );
    }
}
